/*
 * UUCP lock files, by which serial programs of all ages keep off each
 * other's ports: LCK..ttyUSB0 holds the owner's process as "%10d\n".
 * Source: Filesystem Hierarchy Standard 3.0, /var/lock. Called by port_open.
 */
#ifndef DEVICE_PORT_LOCK_H
#define DEVICE_PORT_LOCK_H

#include <stddef.h>
#include <sys/stat.h>

#include "base/fault.h"

/*
 * Takes the lock of a device's base name below folder. `path` becomes the
 * lock file's, or empty when the folder cannot be written: then there is no
 * such custom here. A lock whose process is dead is taken over.
 * CAUSE_PORT_BUSY names the holder.
 */
int port_lock_take(const char *folder, const char *name, char *path,
    size_t size, struct fault *);
/* Removes it; an empty path is left alone. */
void port_lock_drop(const char *path);

/*
 * Says in `to` who has locked the file by flock(2), as "process 12 (minicom)";
 * "another program" when /proc/locks does not tell. Programs that claim a tty
 * by TIOCEXCL lock it, too, as a rule.
 */
void port_lock_describe(const struct stat *file, char *to, size_t size);

#endif
