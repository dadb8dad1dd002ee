/*
 * `stationd --check`: everything that the station would read, read once.
 */
#ifndef LOT_CHECK_H
#define LOT_CHECK_H

#include "base/problems.h"

/*
 * Configuration, every profile NAME.yaml of the profiles folder, and every
 * folder of the lots folder that has a lot.yaml, with its manifest, firmware
 * and certificates. Reports every error; 0 when there was none.
 */
int lot_check_all(const char *config_path, struct problems *);

#endif
