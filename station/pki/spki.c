#include "pki/spki.h"

#include <openssl/crypto.h>
#include <string.h>

int
spki_digest(const X509_PUBKEY *spki, struct digest *digest)
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(spki, &der), result;

	if (len <= 0)
		return -1;
	result = digest_bytes(der, (size_t)len, digest);
	OPENSSL_free(der);
	return result;
}

bool
spki_is_plain(const X509_PUBKEY *spki, EVP_PKEY *key)
{
	unsigned char *found = NULL, *usual = NULL;
	int found_len = i2d_X509_PUBKEY(spki, &found);
	int usual_len = i2d_PUBKEY(key, &usual);
	bool same = found_len > 0 && found_len == usual_len &&
		    memcmp(found, usual, (size_t)found_len) == 0;

	OPENSSL_free(found);
	OPENSSL_free(usual);
	return same;
}

int
subject_name(const X509_NAME *subject, char *to, size_t size, size_t *len)
{
	const X509_NAME_ENTRY *entry;
	unsigned char *text = NULL;
	int at = -1, count = 0, text_len;

	*len = 0;
	while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >=
	       0) {
		if (count++ > 0)
			continue;
		entry = X509_NAME_get_entry(subject, at);
		text_len =
		    ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
		if (text_len < 0)
			continue;
		*len = (size_t)text_len;
		memcpy(to, text, *len < size ? *len : size);
		OPENSSL_free(text);
		text = NULL;
	}
	return count;
}
