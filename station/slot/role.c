#include "slot/role.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "slot/journey.h"

static const void *
sealed(int fd, size_t size, struct fault *fault)
{
	const void *data;
	size_t len;

	return file_map_sealed(fd, size, size, &data, &len, fault) == -1 ? NULL
									 : data;
}

/* Everything that OpenSSL would open or look up later is done before. */
static void
libraries_prepare(void)
{
	unsigned char byte;

	OPENSSL_init_crypto(
	    OPENSSL_INIT_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_ADD_ALL_DIGESTS |
		OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_NO_LOAD_CONFIG,
	    NULL);
	RAND_bytes(&byte, 1);
	EVP_MD_free(EVP_MD_fetch(NULL, "SHA2-256", NULL));
	json_object_seed(0);
}

static int
journey_load(struct journey *journey, struct firmware_view *firmware,
    struct fault *fault)
{
	journey->job = sealed(ROLE_FD_JOB, sizeof(*journey->job), fault);
	if (journey->job == NULL)
		return -1;
	journey->lot = sealed(ROLE_FD_LOT, sizeof(*journey->lot), fault);
	if (journey->lot == NULL)
		return -1;
	if (journey->job->magic != JOB_MAGIC ||
	    journey->lot->magic != LOT_MAGIC)
		return fault_set(
		    fault, CAUSE_INTERNAL, "the job is not of this program");
	if (firmware_map(ROLE_FD_FIRMWARE, firmware, fault) == -1)
		return -1;
	journey->firmware = firmware;
	return 0;
}

/* The last word of the attempt; the process ends when it is committed. */
static void
verdict_send(struct journey *journey, const struct fault *fault)
{
	struct message_verdict verdict;
	struct message_verdict_done done;
	struct fault lost;

	memset(&verdict, 0, sizeof(verdict));
	verdict.fault = *fault;
	verdict.verdict = fault->cause == CAUSE_NONE
			      ? VERDICT_PASS
			      : fault_row(fault->cause)->verdict;
	verdict.step = journey->step;
	verdict.unverified = journey->unverified;
	if (fault->cause != CAUSE_NONE)
		transcript_note(journey->transcript, "%s: %s",
		    fault_row(fault->cause)->name, fault->text);
	fault_clear(&lost);
	link_closing(journey->link);
	if (link_request(journey->link, MESSAGE_VERDICT, &verdict,
		sizeof(verdict), &done, sizeof(done), &lost) == -1)
		transcript_note(journey->transcript,
		    "the verdict was not committed: %s", lost.text);
	else
		transcript_note(journey->transcript, "verdict: %s",
		    verdict_name((enum verdict)verdict.verdict));
}

int
slot_role(void)
{
	static struct journey journey;
	static struct link link;
	static struct port port;
	static struct firmware_view firmware;
	struct fault fault;
	int lines_fd = role_fd_given(ROLE_FD_LINES) ? ROLE_FD_LINES : -1;

	log_open("slot", LOG_LEVEL_INFO);
	signal(SIGPIPE, SIG_IGN);
	libraries_prepare();
	fault_clear(&fault);
	if (journey_load(&journey, &firmware, &fault) == -1 ||
	    sandbox_enter(ROLE_SLOT, NULL, &fault) == -1) {
		log_error("%s", fault.text);
		return EX_SOFTWARE;
	}
	port_attach(&port, ROLE_FD_FIRST, lines_fd);
	link_open(&link, ROLE_FD_CHANNEL, journey.job->attempt, &port);
	journey.port = &port;
	journey.link = &link;
	journey.vault_fd = role_fd_given(ROLE_FD_VAULT) ? ROLE_FD_VAULT : -1;
	journey.transcript =
	    transcript_new(ROLE_FD_TRANSCRIPT, TRANSCRIPT_BYTES_MAX);
	port.sink = transcript_bytes;
	port.sink_arg = journey.transcript;
	port.deadline_ms =
	    clock_deadline(journey.lot->profile.total_timeout_ms);
	transcript_note(journey.transcript,
	    "attempt %llu, lot %s, station %s, slot %s",
	    (unsigned long long)journey.job->attempt, journey.lot->name,
	    journey.job->station, journey.job->slot);
	if (journey.transcript == NULL)
		fault_set(&fault, CAUSE_INTERNAL, "out of memory");
	else if (journey_run(&journey, &fault) == 0)
		fault_clear(&fault);
	else if (fault.cause == CAUSE_NONE)
		fault_set(&fault, CAUSE_INTERNAL, "%s failed without a cause",
		    step_name(journey.step));
	verdict_send(&journey, &fault);
	esp_session_free(journey.session);
	engine_free(journey.engine);
	transcript_free(journey.transcript);
	firmware_unmap(&firmware);
	channel_close(&link.channel);
	return EX_OK;
}
