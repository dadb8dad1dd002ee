/*
 * Images that carry a unit's credentials, built in memory and written to
 * one region of its flash.
 *
 * Sources: ESP-IDF, "Non-Volatile Storage Library", "Internals" (NVS);
 * esp_secure_cert_mgr, docs/format.md (TLV).
 *
 * A profile describes the image, the slot gives the values:
 *
 *	inject:
 *	  - kind: esp-secure-cert
 *	    offset: 0xD000
 *	    size: 0x2000
 *	    entries:
 *	      - {type: ca-cert, value: "${root_ca}"}
 *	      - {type: device-cert, value: "${claim_cert}", encoding: der}
 *	      - {type: private-key, value: "${claim_key}"}
 *	      - {type: 51, value: "${serial}"}
 *	  - kind: nvs
 *	    offset: 0x10000
 *	    size: 0x4000
 *	    namespace: fctry
 *	    entries:
 *	      - {key: serial_no, value: "${serial}"}
 *	      - {key: port, encoding: u16, value: "8883"}
 */
#ifndef DEVICE_INJECT_H
#define DEVICE_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/yaml.h"

enum {
	INJECT_ENTRIES_MAX = 24,
	INJECT_KEY_LEN = 16, /* with its NUL */
	INJECT_RULE_LEN = 128,
	INJECT_SIZE_MAX = 0x40000,
	INJECT_VALUE_MAX = 16384, /* bytes of one value */
};

enum inject_kind {
	INJECT_ESP_SECURE_CERT,
	INJECT_NVS
};

enum inject_encoding {
	INJECT_TEXT, /* with its NUL: a C text, a PEM */
	INJECT_RAW,  /* without; a blob in NVS */
	INJECT_DER,  /* a PEM's contents; a blob in NVS */
	INJECT_U8,   /* decimal; NVS only, like the following */
	INJECT_I8,
	INJECT_U16,
	INJECT_I16,
	INJECT_U32,
	INJECT_I32,
	INJECT_U64,
	INJECT_I64,
};

struct inject_entry {
	uint32_t tlv_type;	    /* esp-secure-cert */
	char key[INJECT_KEY_LEN];   /* nvs */
	uint32_t encoding;	    /* enum inject_encoding */
	char rule[INJECT_RULE_LEN]; /* "${claim_key}" */
};

struct inject_layout {
	uint32_t kind;			 /* enum inject_kind */
	uint32_t offset;		 /* in flash, on a sector */
	uint32_t size;			 /* of the image, whole sectors */
	char name_space[INJECT_KEY_LEN]; /* nvs */
	uint32_t entry_count;
	struct inject_entry entries[INJECT_ENTRIES_MAX];
};

/* Reads one element of a profile's list `inject`; reports every error,
 * returns 0 when there was none. */
int inject_layout_parse(struct yaml_document *, struct yaml_node *map,
    struct inject_layout *, struct problems *);

/*
 * Expands a rule into `to` (size bytes, no NUL wanted) and sets *len. Called
 * with secret memory, which is wiped afterwards.
 */
typedef int inject_expand(void *arg, const char *rule, char *to, size_t size,
    size_t *len, struct fault *);

/*
 * Builds the image into image[0..layout->size), which is the caller's secret
 * memory: locked, and wiped by the caller after use. On failure it is wiped
 * here. CAUSE_BAD_LOT when the values do not fit, CAUSE_INTERNAL when a
 * value is not of its encoding.
 */
int inject_build(const struct inject_layout *, inject_expand *expand, void *arg,
    uint8_t *image, struct fault *);

/* The builders of the two kinds, called by inject_build. */
int tlv_image_build(const struct inject_layout *, inject_expand *expand,
    void *arg, uint8_t *image, struct fault *);
int nvs_image_build(const struct inject_layout *, inject_expand *expand,
    void *arg, uint8_t *image, struct fault *);

/*
 * Expands the entry's rule into `to` and brings it into its encoding there;
 * an integer becomes its little-endian bytes. Shared by the builders.
 */
int inject_value(const struct inject_entry *, inject_expand *expand, void *arg,
    uint8_t *to, size_t size, size_t *len, struct fault *);
/* Bytes of an integer encoding, 0 for the others. */
size_t inject_integer_len(enum inject_encoding);
bool inject_integer_signed(enum inject_encoding);
/* CRC-32 as both formats take it: the register starts at 0. */
uint32_t inject_crc(const uint8_t *, size_t len);

#endif
