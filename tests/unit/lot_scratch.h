/*
 * A whole good lot in the scratch folder, for the tests that change one
 * thing in it: configuration, profiles, firmware, certificates, manifest.
 */
#ifndef TESTS_LOT_SCRATCH_H
#define TESTS_LOT_SCRATCH_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "lot/bundle.h"
#include "scratch.h"

static struct station_config lot_config;

static const char lot_claim_yaml[] =
    "schema: 1\n"				    /* 1 */
    "lot: L1\n"					    /* 2 */
    "product: sensor\n"				    /* 3 */
    "part_number: PN-1\n"			    /* 4 */
    "quantity: 2\n"				    /* 5 */
    "profile: claims\n"				    /* 6 */
    "pattern: claim\n"				    /* 7 */
    "serial_from: mac\n"			    /* 8 */
    "cloud: main\n"				    /* 9 */
    "account: 123456789012\n"			    /* 10 */
    "endpoint: x-ats.iot.eu-west-1.amazonaws.com\n" /* 11 */
    "firmware:\n"				    /* 12 */
    "  version: 1.0.0\n"			    /* 13 */
    "  args: firmware/flasher_args.json\n"	    /* 14 */
    "  sha256: "				    /* 15 */
    "SHA256\n"
    "thing:\n"			      /* 16 */
    "  name: device-${serial}\n"      /* 17 */
    "  type: Sensor\n"		      /* 18 */
    "  groups: [factory, line-1]\n"   /* 19 */
    "  attributes:\n"		      /* 20 */
    "    revision: ${manifest.rev}\n" /* 21 */
    "root_ca: root-ca.pem\n"	      /* 22 */
    "claim:\n"			      /* 23 */
    "  certificate: claim.pem\n"      /* 24 */
    "  key: claim.key\n"	      /* 25 */
    "template:\n"		      /* 26 */
    "  name: Fleet\n";		      /* 27 */

/* The rule of lots/README.md, by printf(1) and sha256sum(1). */
static const char lot_firmware_sha256[] =
    "3cc67aad0e90b5ccafdebbe01a3ffcdc12ed3f125b9a9a9977fbfa5ff9fc2903";

static const char lot_manifest_csv[] = "serial,mac,rev\r\n"
				       "A1,24:6f:28:00:00:01,B\r\n"
				       "A2,24:6f:28:00:00:02,B\r\n"
				       "A3,24:6f:28:00:00:03,C\r\n";

static const char lot_flasher_args[] =
    "{\n"
    "  \"flash_files\": {\n"
    "    \"0x20000\": \"app.bin\",\n"
    "    \"0x0\": \"bootloader.bin\",\n"
    "    \"0x8000\": \"tables/partition-table.bin\"\n"
    "  },\n"
    "  \"extra_esptool_args\": {\"chip\": \"esp32c3\"}\n"
    "}\n";

static const char lot_claim_profile[] =
    "schema: 1\n"
    "name: claims\n"
    "mode: claim\n"
    "flasher: {kind: esp-rom, chip: [esp32c3, esp32s3]}\n"
    "inject:\n"
    "  - kind: esp-secure-cert\n"
    "    offset: 0xD000\n"
    "    size: 0x2000\n"
    "    entries:\n"
    "      - {type: private-key, value: \"${claim_key}\"}\n"
    "      - {type: 51, value: \"${serial}\"}\n";

static const char lot_csr_profile[] =
    "schema: 1\n"
    "name: requests\n"
    "mode: csr\n"
    "flasher: {kind: esp-rom, chip: esp32c3}\n"
    "console: {prompt: \"> \"}\n"
    "steps:\n"
    "  - send: id\n"
    "    capture: {found: 'serial=(\\S+)'}\n"
    "  - identify: {serial: \"${found}\"}\n"
    "  - send: csr\n"
    "    capture: {csr: {pem: CERTIFICATE REQUEST}}\n"
    "  - register: {csr: \"${csr}\"}\n";

/* A self-signed P-256 certificate; days may be negative. Owned PEM. */
static SCRATCH_UNUSED char *
pem_made(const char *name, bool authority, long days)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_NAME *subject = X509_get_subject_name(certificate);
	X509_EXTENSION *extension =
	    X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
		authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
	BIO *out = BIO_new(BIO_s_mem());
	char *data, *pem;
	long len;

	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate),
	    (days < 0 ? days - 9 : -1) * 86400);
	X509_gmtime_adj(X509_getm_notAfter(certificate), days * 86400);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
	    (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(certificate, subject);
	X509_set_pubkey(certificate, key);
	X509_add_ext(certificate, extension, -1);
	if (X509_sign(certificate, key, EVP_sha256()) == 0 ||
	    PEM_write_bio_X509(out, certificate) != 1)
		exit(1);
	len = BIO_get_mem_data(out, &data);
	pem = strndup(data, (size_t)len);
	BIO_free(out);
	X509_EXTENSION_free(extension);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return pem;
}

static SCRATCH_UNUSED char *
lot_yaml_made(void)
{
	return text_replaced(lot_claim_yaml, "SHA256", lot_firmware_sha256);
}

/* Everything anew; NAME is lots/L1 throughout. */
static SCRATCH_UNUSED void
lot_files_write(void)
{
	char *pem;
	char *yaml = lot_yaml_made();

	scratch_text("profiles/claims.yaml", lot_claim_profile);
	scratch_text("profiles/requests.yaml", lot_csr_profile);
	scratch_text("lots/L1/lot.yaml", yaml);
	scratch_text("lots/L1/manifest.csv", lot_manifest_csv);
	scratch_text("lots/L1/claim.key", "the key is never read here");
	scratch_text("lots/L1/firmware/flasher_args.json", lot_flasher_args);
	scratch_text("lots/L1/firmware/bootloader.bin", "bootloader");
	scratch_text(
	    "lots/L1/firmware/tables/partition-table.bin", "partitions");
	scratch_text("lots/L1/firmware/app.bin", "application");
	pem = pem_made("Root", true, 30);
	scratch_text("lots/L1/root-ca.pem", pem);
	free(pem);
	pem = pem_made("Claim", false, 30);
	scratch_text("lots/L1/claim.pem", pem);
	free(pem);
	free(yaml);
}

static SCRATCH_UNUSED int
lot_scratch_open(void **state)
{
	struct station_config *config = &lot_config;
	struct config_cloud *cloud = &config->clouds[0];

	(void)state;
	scratch_open();
	lot_files_write();
	config->magic = CONFIG_MAGIC;
	config->size = sizeof(*config);
	text_copy(
	    config->file, sizeof(config->file), scratch_path("station.yaml"));
	text_copy(config->station, sizeof(config->station), "bench-1");
	text_copy(config->state, sizeof(config->state), scratch_path("state"));
	text_copy(config->lots, sizeof(config->lots), scratch_path("lots"));
	text_copy(config->profiles, sizeof(config->profiles),
	    scratch_path("profiles"));
	config->cloud_count = 1;
	text_copy(cloud->name, sizeof(cloud->name), "main");
	text_copy(cloud->account, sizeof(cloud->account), "123456789012");
	return 0;
}

static SCRATCH_UNUSED int
lot_scratch_close(void **state)
{
	(void)state;
	scratch_close();
	return 0;
}

#endif
