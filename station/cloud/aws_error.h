/*
 * What AWS's refusals mean: one table from AWS's names to causes.
 *
 * Called by call.c for every answer that is not a success. The name comes
 * from the header x-amzn-ErrorType ("Name" or "Name:url"), else from the
 * body: JSON members __type ("prefix#Name") or code, or the XML <Code> of
 * STS. Status codes alone are the last resort: AWS IoT answers throttling
 * with 400 and a full quota of resources with 410.
 */
#ifndef CLOUD_AWS_ERROR_H
#define CLOUD_AWS_ERROR_H

#include <stddef.h>

#include "base/fault.h"

enum aws_remedy {
	AWS_REMEDY_NONE,   /* a repeat gets the same answer */
	AWS_REMEDY_SLOWER, /* throttled: nothing was done */
	AWS_REMEDY_AGAIN,  /* passing trouble at AWS: perhaps it was done */
	AWS_REMEDY_CLOCK,  /* the signature's time is off: correct, repeat */
	AWS_REMEDY_KEYS,   /* the keys ended: read them again, repeat */
	AWS_REMEDY_SETTLE, /* what was made a moment ago is not seen yet */
};

struct aws_error {
	char name[96];	     /* "ResourceAlreadyExistsException", or empty */
	char message[256];   /* AWS's words, one line, or empty */
	char request_id[80]; /* where the body has it (STS) */
	enum fault_cause cause;
	enum aws_remedy remedy;
};

/*
 * Reads the answer with that status (>= 300, or any that cannot be used).
 * error_type is the header's value or null; the body may be anything.
 */
void aws_error_read(struct aws_error *, long status, const char *error_type,
    const char *body, size_t len);

/*
 * The text between <tag> and </tag> of an XML answer of STS, which has no
 * attributes and no nesting of equal tags. -1 when it is absent or longer
 * than size - 1.
 */
int aws_xml_text(
    const char *body, size_t len, const char *tag, char *to, size_t size);

#endif
