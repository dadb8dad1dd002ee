/*
 * Takes one virtual unit through what station/device does of a journey:
 * flash, inject, boot, the profile's console steps. Prints `PASS` or the
 * fault as `CAUSE: text`. Driven by device_bench_test.sh.
 *
 *	device_bench PROFILE NODE LINES FIRMWARE-FOLDER TRANSCRIPT FOLDER
 *
 * FOLDER holds ca.pem, claim.pem and claim.key for the values of the image,
 * and ca.key to sign a certificate request with.
 */
#include <fcntl.h>
#include <jansson.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "base/yaml.h"
#include "device/engine.h"
#include "device/esp_rom.h"
#include "device/inject.h"

enum {
	FILE_MAX = 16 * 1024 * 1024,
	PATH_ROOM = 1024,
	INJECTS = 4
};

struct journey {
	const char *folder;
	struct esp_demands demands;
	struct inject_layout injects[INJECTS];
	size_t inject_count;
	struct program *program;
	struct firmware_view firmware;
	struct esp_identity identity;
	struct engine *engine;
};

static int
report(const struct fault *fault)
{
	printf("%s: %s\n", fault_row(fault->cause)->name, fault->text);
	return 1;
}

static void
profile_read(struct journey *journey, const char *path)
{
	struct problems problems;
	struct yaml_document *document;
	struct yaml_node *root, *list, *node;
	struct fault fault = {0};
	char *data;
	size_t len;

	problems_init(&problems);
	if (file_read(path, FILE_MAX, &data, &len, &fault) != 0)
		exit(report(&fault));
	document = yaml_parse(path, data, len, &problems);
	if (document == NULL)
		goto out;
	root = yaml_root(document);
	(void)esp_demands_parse(document,
	    yaml_get_map(document, root, "flasher", true, &problems),
	    &journey->demands, &problems);
	list = yaml_get_list(document, root, "inject", false, &problems);
	for (node = list != NULL ? list->child : NULL; node != NULL;
	     node = node->next)
		(void)inject_layout_parse(document, node,
		    &journey->injects[journey->inject_count++], &problems);
	(void)program_parse(document, root, journey->program, &problems);
out:
	if (problems.count > 0) {
		printf("%s", problems.text.data);
		exit(2);
	}
	yaml_close(document);
	problems_free(&problems);
	free(data);
}

static int
source_compare(const void *one, const void *other)
{
	const struct firmware_source *a = one, *b = other;

	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static void
firmware_read(struct journey *journey, const char *folder)
{
	struct firmware_source sources[FIRMWARE_REGIONS_MAX];
	struct fault fault = {0};
	char path[PATH_ROOM], *data;
	json_t *root, *value;
	size_t count = 0, len;
	const char *offset;
	uint8_t *file;

	snprintf(path, sizeof(path), "%s/flasher_args.json", folder);
	root = json_load_file(path, 0, NULL);
	json_object_foreach (
	    json_object_get(root, "flash_files"), offset, value) {
		snprintf(path, sizeof(path), "%s/%s", folder,
		    json_string_value(value));
		if (file_read(path, FILE_MAX, &data, &len, &fault) != 0)
			exit(report(&fault));
		sources[count++] = (struct firmware_source){
		    json_string_value(value),
		    (uint32_t)strtoul(offset, NULL, 0), (uint8_t *)data, len};
	}
	qsort(sources, count, sizeof(sources[0]), source_compare);
	if (firmware_build(sources, count, &file, &len, &fault) != 0 ||
	    firmware_check(file, len, &journey->firmware, &fault) != 0)
		exit(report(&fault));
	while (count > 0)
		free((void *)(uintptr_t)sources[--count].data);
	json_decref(root);
}

static int
expand(void *arg, const char *rule, char *to, size_t size, size_t *len,
    struct fault *fault)
{
	struct journey *journey = arg;

	return engine_expand(journey->engine, rule, to, size, len, fault);
}

static int
identify(void *arg, struct engine *engine, const char *serial, const char *mac,
    struct fault *fault)
{
	struct journey *journey = arg;

	(void)serial;
	(void)engine;
	if (strcmp(mac, journey->identity.mac) == 0)
		return 0;
	return fault_set(fault, CAUSE_SWAPPED, "%s was flashed, %s answers",
	    journey->identity.mac, mac);
}

static void *
file_object(const char *folder, const char *name,
    void *(*read)(BIO *, void *, pem_password_cb *, void *))
{
	char path[PATH_ROOM];
	BIO *bio;
	void *object;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	bio = BIO_new_file(path, "r");
	object = read(bio, NULL, NULL, NULL);
	BIO_free(bio);
	return object;
}

static void *
read_certificate(BIO *bio, void *to, pem_password_cb *password, void *arg)
{
	return PEM_read_bio_X509(bio, to, password, arg);
}

static void *
read_key(BIO *bio, void *to, pem_password_cb *password, void *arg)
{
	return PEM_read_bio_PrivateKey(bio, to, password, arg);
}

/* What AWS IoT does: a certificate for the request's key. */
static int
enroll(void *arg, struct engine *engine, enum program_register what,
    const char *csr, struct fault *fault)
{
	struct journey *journey = arg;
	BIO *in = BIO_new_mem_buf(csr, -1), *out = BIO_new(BIO_s_mem());
	X509_REQ *request = PEM_read_bio_X509_REQ(in, NULL, NULL, NULL);
	X509 *ca = file_object(journey->folder, "ca.pem", read_certificate);
	EVP_PKEY *key = file_object(journey->folder, "ca.key", read_key);
	EVP_PKEY *public_key = X509_REQ_get0_pubkey(request);
	X509 *certificate = X509_new();
	unsigned char digest[32];
	char id[65], *pem;
	long len;
	int result = -1;

	(void)what;
	if (X509_REQ_verify(request, public_key) != 1) {
		fault_set(fault, CAUSE_CSR_INVALID, "it does not verify");
		goto out;
	}
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 7);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_set_subject_name(certificate, X509_REQ_get_subject_name(request));
	X509_set_issuer_name(certificate, X509_get_subject_name(ca));
	X509_set_pubkey(certificate, public_key);
	X509_sign(certificate, key, EVP_sha256());
	X509_digest(certificate, EVP_sha256(), digest, NULL);
	hex_encode(id, digest, sizeof(digest));
	PEM_write_bio_X509(out, certificate);
	len = BIO_get_mem_data(out, &pem);
	result =
	    engine_set(engine, "device_cert", pem, (size_t)len, false, fault);
	if (result == 0)
		result =
		    engine_set(engine, "certificate_id", id, 64, false, fault);
out:
	X509_free(certificate);
	X509_free(ca);
	EVP_PKEY_free(key);
	X509_REQ_free(request);
	BIO_free(in);
	BIO_free(out);
	return result;
}

static void
value_read(struct journey *journey, const char *name, const char *file)
{
	struct fault fault = {0};
	char path[PATH_ROOM], *data;
	size_t len;

	snprintf(path, sizeof(path), "%s/%s", journey->folder, file);
	if (file_read(path, FILE_MAX, &data, &len, &fault) != 0 ||
	    engine_set(journey->engine, name, data, len, false, &fault) != 0)
		exit(report(&fault));
	free(data);
}

static void
values_set(struct journey *journey)
{
	static const char *const values[][2] = {{"serial", "DEMO-0001"},
	    {"endpoint", "data.iot.example.com"}, {"template", "demo-claim"},
	    {"firmware_version", "1.0.0"}};
	struct fault fault = {0};
	size_t i;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (engine_set(journey->engine, values[i][0], values[i][1],
			strlen(values[i][1]), false, &fault) != 0)
			exit(report(&fault));
	value_read(journey, "root_ca", "ca.pem");
	value_read(journey, "claim_cert", "claim.pem");
	value_read(journey, "claim_key", "claim.key");
}

static int
flash(struct journey *journey, struct port *port, struct fault *fault)
{
	struct esp_session *session;
	const struct inject_layout *layout;
	uint8_t *image;
	bool verified;
	size_t i;
	int result = -1;

	session = esp_session_new(port, &journey->demands, NULL, NULL, fault);
	if (session == NULL ||
	    esp_connect(session, &journey->identity, fault) != 0 ||
	    esp_raise_baud(session, fault) != 0 ||
	    esp_write_firmware(session, &journey->firmware, &verified, fault) !=
		0)
		goto out;
	for (i = 0; i < journey->inject_count; i++) {
		layout = &journey->injects[i];
		image = locked_new(layout->size);
		result = inject_build(layout, expand, journey, image, fault);
		if (result == 0)
			result = esp_write_image(session, "credentials",
			    layout->offset, image, layout->size, &verified,
			    fault);
		locked_free(image);
		if (result != 0)
			goto out;
	}
	result = esp_run(session, fault);
out:
	esp_session_free(session);
	return result;
}

int
main(int argc, char **argv)
{
	struct journey journey = {0};
	struct engine_calls calls = {
	    .identify = identify, .enroll = enroll, .arg = &journey};
	struct transcript *transcript;
	struct port_claim claim;
	struct port port;
	struct fault fault = {0};
	int fd, result;

	if (argc != 7)
		return 64;
	journey.folder = argv[6];
	journey.program = calloc(1, sizeof(*journey.program));
	profile_read(&journey, argv[1]);
	firmware_read(&journey, argv[4]);
	fd = open(argv[5], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	transcript = transcript_new(fd, TRANSCRIPT_BYTES_MAX);
	if (port_open(argv[2], argv[3], &claim, &fault) != 0)
		return report(&fault);
	port_attach(&port, claim.fd, claim.lines_fd);
	port.sink = transcript_bytes;
	port.sink_arg = transcript;
	port.deadline_ms = clock_deadline(120000);
	journey.engine =
	    engine_new(journey.program, &port, transcript, &calls, &fault);
	if (journey.engine == NULL)
		return report(&fault);
	values_set(&journey);
	result = flash(&journey, &port, &fault);
	if (result == 0)
		result = engine_run(journey.engine, &fault);
	if (result == 0)
		printf("PASS %s\n", journey.identity.hardware);
	else
		report(&fault);
	engine_free(journey.engine);
	transcript_free(transcript);
	port_release(&claim);
	free((void *)(uintptr_t)journey.firmware.data);
	free(journey.program);
	close(fd);
	return result == 0 ? 0 : 1;
}
