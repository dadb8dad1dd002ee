/*
 * config/station.yaml as plain data, made by the load role and passed to the
 * others as a sealed memory file. All paths are absolute.
 */
#ifndef LOT_CONFIG_H
#define LOT_CONFIG_H

#include <stdint.h>

#include "base/message.h"
#include "base/problems.h"

enum {
	CLOUDS_MAX = 8,
	PKCS11_PATHS_MAX = 4,
	RATES_MAX = 64
};

struct config_slot {
	char name[NAME_LEN];
	char usb[96];	      /* "1-1.4.2", or with the controller's path
				 "pci-0000:00:14.0/1-1.4.2"; or empty */
	uint32_t interface;   /* USB interface of the flashing port */
	char port[PATH_LEN];  /* for a bench without hardware; or empty */
	char lines[PATH_LEN]; /* socket that stands for DTR and RTS; or empty */
};

/* DEFAULT tries one after the other, as the AWS tools do; each of the others
 * stands for that one alone. */
enum credential_source {
	CREDENTIAL_ENVIRONMENT, /* AWS_ACCESS_KEY_ID, ... */
	CREDENTIAL_FILE,	/* keys of a profile in the shared files */
	CREDENTIAL_DEFAULT,
	CREDENTIAL_ROLE,	 /* a profile's role_arn */
	CREDENTIAL_WEB_IDENTITY, /* a token file and a role */
	CREDENTIAL_PROCESS,	 /* a profile's credential_process */
	CREDENTIAL_CONTAINER,	 /* ECS, EKS Pod Identity */
	CREDENTIAL_INSTANCE,	 /* EC2: IMDSv2 */
	CREDENTIAL_IOT,		 /* AWS IoT credentials provider */
};

/* CREDENTIAL_IOT: the station's own certificate buys its credentials. */
struct config_iot_provider {
	char endpoint[256]; /* https URL */
	char role_alias[THING_LEN];
	char certificate[PATH_LEN];
	char key[PATH_LEN];
	char thing[THING_LEN]; /* or empty */
};

struct config_rate {
	char operation[64];
	uint32_t per_second_milli;
};

struct config_cloud {
	char name[NAME_LEN];
	char account[13];
	char region[32];
	char endpoint[256];		 /* https URL, or empty for AWS's own */
	char sts_endpoint[256];		 /* likewise */
	char s3_endpoint[256];		 /* likewise */
	char ca_file[PATH_LEN];		 /* or empty for the system's */
	uint32_t credentials;		 /* enum credential_source */
	char credentials_file[PATH_LEN]; /* or empty */
	char credentials_profile[NAME_LEN]; /* or empty */
	struct config_iot_provider iot;
	uint32_t share_percent; /* of the account's quota, 1..100 */
	/* Other quotas than AWS's defaults. */
	uint32_t rate_count;
	struct config_rate rates[RATES_MAX];
};

struct config_alarm {
	uint32_t ratio_milli; /* failures over successes: 50 = 5 % */
	uint32_t window;      /* verdicts looked back upon */
	uint32_t minimum;     /* verdicts before it may ring */
	uint32_t hold;	      /* 1: the alarm holds the line */
};

struct station_config {
	uint32_t magic; /* CONFIG_MAGIC */
	uint32_t size;	/* sizeof */
	char file[PATH_LEN];
	char station[NAME_LEN];
	char site[NAME_LEN];
	char state[PATH_LEN];	 /* folder: frozen lots, transcripts */
	char ledger[PATH_LEN];	 /* SQLite file */
	char lots[PATH_LEN];	 /* folder */
	char profiles[PATH_LEN]; /* folder */
	char socket[PATH_LEN];	 /* control socket */
	uint32_t socket_mode;
	char socket_group[32];
	char user[32];		 /* to run as when started by root, or "" */
	uint32_t takt_ms;	 /* target, 0 none */
	uint32_t transcript_mib; /* kept at most */
	uint32_t transcript_days;
	struct config_alarm alarm;
	/* The token that holds signing keys: the hsm role's. */
	char pkcs11_module[PATH_LEN]; /* shared library; empty: no token */
	uint32_t pkcs11_path_count;
	char pkcs11_paths[PKCS11_PATHS_MAX][PATH_LEN]; /* that it reads */
	uint32_t slot_count;
	struct config_slot slots[SLOTS_MAX];
	uint32_t cloud_count;
	struct config_cloud clouds[CLOUDS_MAX];
};
enum {
	CONFIG_MAGIC = 0x31464353
};

/*
 * Reports every error of the file; 0 when there was none. Relative paths
 * are those of the file's folder. man/station.yaml.5 and the comments of
 * config/station.yaml name the keys and their defaults.
 */
int config_load(const char *path, struct station_config *, struct problems *);
/* The same into a sealed memory file: its descriptor, or -1. */
int config_to_memfd(const char *path, struct problems *);
/* Null when no cloud profile has that name. */
const struct config_cloud *
config_cloud_find(const struct station_config *, const char *name);

#endif
