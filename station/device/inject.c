#include "device/inject.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/buf.h"
#include "device/encode.h"
#include "device/firmware.h"
#include "device/program.h"

/* Types of esp_secure_cert that a profile may name; others by number. */
static const struct {
	const char *name;
	uint32_t type;
} tlv_types[] = {
    {"ca-cert", 0},
    {"device-cert", 1},
    {"private-key", 2},
    {"user-1", 51},
    {"user-2", 52},
    {"user-3", 53},
    {"user-4", 54},
    {"user-5", 55},
};
enum {
	TLV_TYPES = sizeof(tlv_types) / sizeof(tlv_types[0]),
	TLV_TYPE_MOST = 255,
	/* NVS keeps one page of at least three empty. */
	NVS_SIZE_LEAST = 3 * FIRMWARE_SECTOR_LEN,
};

static const char *const encoding_names[] = {"text", "raw", "der", "u8", "i8",
    "u16", "i16", "u32", "i32", "u64", "i64", NULL};

uint32_t
inject_crc(const uint8_t *bytes, size_t len)
{
	return (uint32_t)crc32(0xFFFFFFFF, bytes, (uInt)len);
}

size_t
inject_integer_len(enum inject_encoding encoding)
{
	switch (encoding) {
	case INJECT_U8:
	case INJECT_I8:
		return 1;
	case INJECT_U16:
	case INJECT_I16:
		return 2;
	case INJECT_U32:
	case INJECT_I32:
		return 4;
	case INJECT_U64:
	case INJECT_I64:
		return 8;
	default:
		return 0;
	}
}

bool
inject_integer_signed(enum inject_encoding encoding)
{
	return encoding == INJECT_I8 || encoding == INJECT_I16 ||
	       encoding == INJECT_I32 || encoding == INJECT_I64;
}

/* ---- values ---- */

static int
value_bad(
    const struct inject_entry *entry, const char *what, struct fault *fault)
{
	return fault_set(
	    fault, CAUSE_INTERNAL, "the value of %s is %s", entry->rule, what);
}

/* Decimal text in to[0..len) to its little-endian bytes. */
static int
value_integer(const struct inject_entry *entry, uint8_t *to, size_t *len,
    struct fault *fault)
{
	size_t bytes = inject_integer_len(entry->encoding), i;
	bool is_signed = inject_integer_signed(entry->encoding);
	unsigned bits = (unsigned)(8 * bytes);
	uint64_t magnitude = 0, most;
	char text[24];
	bool negative;

	if (*len == 0 || *len >= sizeof(text))
		return value_bad(entry, "no number", fault);
	memcpy(text, to, *len);
	text[*len] = '\0';
	negative = text[0] == '-';
	most = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
	if (is_signed)
		most = most / 2 + (negative ? 1 : 0);
	if (text[negative] == '\0' || (negative && !is_signed))
		return value_bad(entry, "no such number", fault);
	for (i = negative; text[i] != '\0'; i++) {
		unsigned digit = (unsigned)text[i] - '0';

		if (digit > 9)
			return value_bad(entry, "no number", fault);
		if (magnitude > (most - digit) / 10)
			return value_bad(entry, "out of range", fault);
		magnitude = magnitude * 10 + digit;
	}
	if (negative)
		magnitude = 0 - magnitude;
	for (i = 0; i < bytes; i++)
		to[i] = (uint8_t)(magnitude >> 8 * i);
	*len = bytes;
	return 0;
}

int
inject_value(const struct inject_entry *entry, inject_expand *expand, void *arg,
    uint8_t *to, size_t size, size_t *len, struct fault *fault)
{
	long decoded;

	*len = 0;
	/* One byte stays for the NUL of a text. */
	if (expand(arg, entry->rule, (char *)to, size - 1, len, fault) != 0)
		return -1;
	if (*len > size - 1)
		return value_bad(entry, "too long", fault);
	switch (entry->encoding) {
	case INJECT_TEXT:
		if (memchr(to, '\0', *len) != NULL)
			return value_bad(entry, "no text", fault);
		to[(*len)++] = '\0';
		return 0;
	case INJECT_RAW:
		return 0;
	case INJECT_DER:
		decoded = pem_to_der(to, size, (const char *)to, *len);
		if (decoded <= 0)
			return value_bad(entry, "no PEM", fault);
		/* What is left of the PEM behind it may be secret. */
		OPENSSL_cleanse(to + decoded, *len - (size_t)decoded);
		*len = (size_t)decoded;
		return 0;
	default:
		return value_integer(entry, to, len, fault);
	}
}

int
inject_build(const struct inject_layout *layout, inject_expand *expand,
    void *arg, uint8_t *image, struct fault *fault)
{
	int result;

	memset(image, 0xFF, layout->size);
	if (layout->kind == INJECT_NVS)
		result = nvs_image_build(layout, expand, arg, image, fault);
	else
		result = tlv_image_build(layout, expand, arg, image, fault);
	if (result != 0)
		OPENSSL_cleanse(image, layout->size);
	return result;
}

/* ---- YAML ---- */

struct layout_reader {
	struct yaml_document *document;
	struct problems *problems;
	struct inject_layout *layout;
};

/* "0xD000" or decimal: yaml_get_integer takes decimal only. */
static int
number_get(const struct layout_reader *reader, struct yaml_node *map,
    const char *key, uint32_t *to)
{
	struct yaml_node *node;
	unsigned long value;
	char text[24], *end;

	if (yaml_get_text(reader->document, map, key, true, text, sizeof(text),
		reader->problems) != 0)
		return -1;
	node = yaml_get(map, key);
	value = strtoul(text, &end, 0);
	if (end == text || *end != '\0' || text[0] == '-' ||
	    value > FIRMWARE_REACH || value % FIRMWARE_SECTOR_LEN != 0) {
		yaml_problem(reader->document, node, reader->problems,
		    "bad %s; accepted are multiples of 0x1000 up to 0x1000000",
		    key);
		return -1;
	}
	*to = (uint32_t)value;
	return 0;
}

static void
tlv_type_get(const struct layout_reader *reader, struct yaml_node *map,
    struct inject_entry *entry)
{
	unsigned long value;
	char text[24], *end;
	size_t i;

	if (yaml_get_text(reader->document, map, "type", true, text,
		sizeof(text), reader->problems) != 0)
		return;
	for (i = 0; i < TLV_TYPES; i++) {
		if (strcmp(tlv_types[i].name, text) == 0) {
			entry->tlv_type = tlv_types[i].type;
			return;
		}
	}
	value = strtoul(text, &end, 10);
	if (end == text || *end != '\0' || value > TLV_TYPE_MOST) {
		yaml_problem(reader->document, yaml_get(map, "type"),
		    reader->problems,
		    "unknown type; accepted are ca-cert, "
		    "device-cert, private-key, user-1 to user-5 and numbers "
		    "to 255");
		return;
	}
	entry->tlv_type = (uint32_t)value;
}

/* Every ${name} must be one that the slot defines. */
static void
rule_check(const struct layout_reader *reader, struct yaml_node *map,
    const struct inject_entry *entry)
{
	char name[PROGRAM_NAME_LEN + 16];
	const char *at = entry->rule;
	size_t len;

	while ((at = strstr(at, "${")) != NULL) {
		at += 2;
		len = strcspn(at, "|}");
		if (len < sizeof(name)) {
			memcpy(name, at, len);
			name[len] = '\0';
			if (program_name_given(name))
				continue;
		}
		yaml_problem(reader->document, yaml_get(map, "value"),
		    reader->problems,
		    "unknown variable in \"%s\"; accepted "
		    "are %s",
		    entry->rule, program_names_given());
		return;
	}
}

static void
entry_get(const struct layout_reader *reader, struct yaml_node *map)
{
	struct inject_layout *layout = reader->layout;
	struct inject_entry *entry;
	int encoding = INJECT_TEXT;

	if (map->kind != YAML_KIND_MAP) {
		yaml_problem(reader->document, map, reader->problems,
		    "an entry is a map");
		return;
	}
	if (layout->entry_count == INJECT_ENTRIES_MAX) {
		yaml_problem(reader->document, map, reader->problems,
		    "too many entries; accepted are %d", INJECT_ENTRIES_MAX);
		return;
	}
	entry = &layout->entries[layout->entry_count++];
	if (layout->kind == INJECT_NVS)
		(void)yaml_get_text(reader->document, map, "key", true,
		    entry->key, sizeof(entry->key), reader->problems);
	else
		tlv_type_get(reader, map, entry);
	(void)yaml_get_choice(reader->document, map, "encoding", false,
	    encoding_names, &encoding, reader->problems);
	entry->encoding = (uint32_t)encoding;
	if (layout->kind != INJECT_NVS && encoding >= INJECT_U8)
		yaml_problem(reader->document, yaml_get(map, "encoding"),
		    reader->problems,
		    "integers are for nvs; accepted are "
		    "text, raw, der");
	if (yaml_get_text(reader->document, map, "value", true, entry->rule,
		sizeof(entry->rule), reader->problems) == 0)
		rule_check(reader, map, entry);
	yaml_map_finish(reader->document, map, reader->problems);
}

static void
size_check(const struct layout_reader *reader, struct yaml_node *map)
{
	const struct inject_layout *layout = reader->layout;
	uint32_t least =
	    layout->kind == INJECT_NVS ? NVS_SIZE_LEAST : FIRMWARE_SECTOR_LEN;

	if (layout->size < least || layout->size > INJECT_SIZE_MAX ||
	    layout->offset > FIRMWARE_REACH - layout->size)
		yaml_problem(reader->document, yaml_get(map, "size"),
		    reader->problems,
		    "bad size; accepted are 0x%x to 0x%x, "
		    "within 16 MiB",
		    (unsigned)least, INJECT_SIZE_MAX);
}

int
inject_layout_parse(struct yaml_document *document, struct yaml_node *map,
    struct inject_layout *layout, struct problems *problems)
{
	static const char *const kinds[] = {"esp-secure-cert", "nvs", NULL};
	struct layout_reader reader = {document, problems, layout};
	size_t before = problems->count;
	struct yaml_node *list, *node;
	int kind = INJECT_ESP_SECURE_CERT;

	memset(layout, 0, sizeof(*layout));
	if (yaml_get_choice(
		document, map, "kind", true, kinds, &kind, problems) != 0)
		return -1;
	layout->kind = (uint32_t)kind;
	if (number_get(&reader, map, "offset", &layout->offset) == 0 &&
	    number_get(&reader, map, "size", &layout->size) == 0)
		size_check(&reader, map);
	if (kind == INJECT_NVS)
		(void)yaml_get_text(document, map, "namespace", true,
		    layout->name_space, sizeof(layout->name_space), problems);
	list = yaml_get_list(document, map, "entries", true, problems);
	for (node = list != NULL ? list->child : NULL; node != NULL;
	     node = node->next)
		entry_get(&reader, node);
	yaml_map_finish(document, map, problems);
	return problems->count == before ? 0 : -1;
}
