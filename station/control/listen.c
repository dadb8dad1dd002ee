/*
 * The control socket itself: who may reach it, and who owns its name.
 */
#include "control/server.h"

#include <errno.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"

int
control_group(const char *name, gid_t *gid, struct fault *fault)
{
	const struct group *group;

	*gid = (gid_t)-1;
	if (name == NULL || name[0] == '\0')
		return 0;
	errno = 0;
	group = getgrnam(name);
	if (group == NULL)
		return fault_set(fault, CAUSE_BAD_CONFIG,
		    "the control socket's group %s does not exist", name);
	*gid = group->gr_gid;
	return 0;
}

/*
 * Takes a dead socket's name away. A socket that answers belongs to a
 * daemon that runs; anything that is not a socket is not ours to remove.
 */
static int
name_free(const struct sockaddr_un *address, struct fault *fault)
{
	struct stat status;
	int fd = -1;
	int rc = -1;

	if (lstat(address->sun_path, &status) == -1) {
		if (errno == ENOENT)
			return 0;
		return fault_set_errno(
		    fault, CAUSE_BAD_CONFIG, errno, "%s", address->sun_path);
	}
	if (!S_ISSOCK(status.st_mode))
		return fault_set(fault, CAUSE_BAD_CONFIG,
		    "%s is in the way and is not a socket", address->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1) {
		fault_set_errno(fault, CAUSE_BAD_CONFIG, errno, "socket");
		goto out;
	}
	/* A full backlog (EAGAIN) is a sign of life as well. */
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) ==
		0 ||
	    errno != ECONNREFUSED) {
		fault_set(fault, CAUSE_BAD_CONFIG,
		    "%s is in use by another stationd", address->sun_path);
		goto out;
	}
	if (unlink(address->sun_path) == -1 && errno != ENOENT) {
		fault_set_errno(fault, CAUSE_BAD_CONFIG, errno,
		    "cannot remove the old socket %s", address->sun_path);
		goto out;
	}
	rc = 0;
out:
	if (fd != -1)
		close(fd);
	return rc;
}

/* chown comes first: chmod alone could open it to the wrong group. */
static int
rights_set(const char *path, mode_t mode, gid_t gid, struct fault *fault)
{
	if (gid != (gid_t)-1 && gid != getegid() &&
	    chown(path, (uid_t)-1, gid) == -1)
		return fault_set_errno(fault, CAUSE_BAD_CONFIG, errno,
		    "cannot give %s to its group", path);
	if (chmod(path, mode) == -1)
		return fault_set_errno(fault, CAUSE_BAD_CONFIG, errno,
		    "cannot set the mode of %s", path);
	return 0;
}

int
control_listen(
    const char *path, mode_t mode, const char *group, struct fault *fault)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t old_mask;
	bool bound = false;
	gid_t gid;
	int fd = -1;
	int rc;

	if (text_copy(address.sun_path, sizeof(address.sun_path), path) == -1)
		return fault_set(fault, CAUSE_BAD_CONFIG,
		    "the control socket's path %s is longer than %zu bytes",
		    path, sizeof(address.sun_path) - 1);
	if (control_group(group, &gid, fault) == -1 ||
	    name_free(&address, fault) == -1)
		return -1;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1) {
		fault_set_errno(fault, CAUSE_BAD_CONFIG, errno, "socket");
		goto out;
	}
	/* Nobody may connect between bind and chmod. */
	old_mask = umask(0777);
	rc = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	umask(old_mask);
	if (rc == -1) {
		fault_set_errno(fault, CAUSE_BAD_CONFIG, errno,
		    "cannot make the control socket %s", path);
		goto out;
	}
	bound = true;
	if (rights_set(path, mode, gid, fault) == -1)
		goto out;
	if (listen(fd, CONTROL_CLIENTS_MAX) == -1) {
		fault_set_errno(fault, CAUSE_BAD_CONFIG, errno,
		    "cannot listen on %s", path);
		goto out;
	}
	return fd;
out:
	if (bound)
		unlink(path);
	if (fd != -1)
		close(fd);
	return -1;
}
