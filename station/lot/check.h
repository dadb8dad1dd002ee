/*
 * Checks that need no daemon: `stationd --check` reads everything that a
 * configuration leads to, `station lot check` one lot.
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

/*
 * Configuration and one lot: the name of a folder of the lots folder, or,
 * with a slash in it or when there is no such lot, the path of a folder.
 */
int lot_check_one(const char *config_path, const char *lot, struct problems *);

#endif
