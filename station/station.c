/* The operator's, the MES's and the auditor's command. */
#include "command/command.h"

int
main(int argc, char **argv)
{
	return command_main(argc, argv);
}
