/*
 * stationd: the daemon of one bench. `stationd -c FILE` runs the parent,
 * which executes this same file again for every other role; `--check` reads
 * everything that a configuration leads to and names every error.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cloud/role.h"
#include "cloud/tool.h"
#include "ledger/role.h"
#include "line/parent.h"
#include "line/role.h"
#include "lot/check.h"
#include "lot/role.h"
#include "report/role.h"
#include "slot/role.h"
#include "vault/role.h"

static const struct {
	const char *name;
	int (*run)(void);
} roles[] = {
    {"config", config_role},
    {"line", line_role},
    {"ledger", ledger_role},
    {"cloud", cloud_role},
    {"vault", vault_role},
    {"hsm", hsm_role},
    {"slot", slot_role},
    {"load", load_role},
    {"report", report_role},
    {"tool", tool_role},
};

static int
role_run(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (strcmp(roles[i].name, name) == 0)
			return roles[i].run();
	return EX_USAGE;
}

static void
usage(FILE *to)
{
	fputs("usage: stationd -c FILE            run the station\n"
	      "       stationd --check -c FILE    check the configuration, "
	      "profiles, lots and\n"
	      "                                   manifests; every error is "
	      "printed; status 78\n"
	      "       stationd --version | --help\n"
	      "\n"
	      "FILE is the station's configuration, such as "
	      "/etc/station/station.yaml.\n"
	      "SIGTERM lets units at work come to their end; a second one "
	      "stops at once.\n",
	    to);
}

static int
check_run(const char *path)
{
	struct problems problems;
	int status = EX_OK;

	problems_init(&problems);
	lot_check_all(path, &problems);
	if (problems.warnings.data != NULL)
		fputs(problems.warnings.data, stdout);
	if (problems.count != 0) {
		if (problems.text.data != NULL)
			fputs(problems.text.data, stdout);
		fprintf(stderr, "stationd: %zu errors\n", problems.count);
		status = EX_CONFIG;
	}
	problems_free(&problems);
	return status;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"check", no_argument, NULL, 'k'},
	    {"role", required_argument, NULL, 'r'},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {NULL, 0, NULL, 0},
	};
	const char *path = NULL, *role = NULL;
	int option, check = 0;

	while (
	    (option = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 'k':
			check = 1;
			break;
		case 'r':
			role = optarg;
			break;
		case 'h':
			usage(stdout);
			return EX_OK;
		case 'V':
			printf("stationd %s\n", STATION_VERSION);
			return EX_OK;
		default:
			usage(stderr);
			return EX_USAGE;
		}
	}
	if (role != NULL)
		return role_run(role);
	if (path == NULL || optind != argc) {
		usage(stderr);
		return EX_USAGE;
	}
	return check ? check_run(path) : parent_run(path);
}
