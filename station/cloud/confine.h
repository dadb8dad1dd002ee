/*
 * The cloud role's sandbox: which files and folders stay readable.
 *
 * Called by role.c once, before the first message.
 */
#ifndef CLOUD_CONFINE_H
#define CLOUD_CONFINE_H

#include "base/fault.h"
#include "cloud/credentials.h"
#include "lot/config.h"

int cloud_confine(const struct station_config *,
    const struct credentials_environment *, struct fault *);

#endif
