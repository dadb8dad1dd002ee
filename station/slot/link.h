/*
 * The slot's side of its channel to the line: one request at a time, each
 * answered; an ABORT from the line ends whatever the slot waits for.
 */
#ifndef SLOT_LINK_H
#define SLOT_LINK_H

#include <stdbool.h>

#include "base/channel.h"
#include "base/message.h"
#include "device/port.h"

struct link {
	struct channel channel;
	struct port *port; /* watched while waiting; may be null */
	uint64_t attempt;
	uint32_t sequence;
	bool ended; /* the line is gone */
	bool aborted;
	struct fault abort; /* why */
	/* progress is sent when it changed and not more often than this */
	struct message_progress progress;
	int64_t progress_ms;
};

/* Takes the descriptor; the port is borrowed and gets this link as its
 * interrupt. */
void link_open(struct link *, int fd, uint64_t attempt, struct port *);

/*
 * Sends a request and waits for its answer. `answer` (answer_len bytes, the
 * struct of type + 1) begins with a struct fault: -1 with that fault when the
 * request was not carried out, when the line aborted the attempt or went
 * away. A unit that is pulled while the cloud is asked does not matter
 * here: the next use of the port finds out.
 */
int link_request(struct link *, enum message_type, const void *body, size_t len,
    void *answer, size_t answer_len, struct fault *);

/* Shows where the attempt is; at most ten a second, a step's first at once.
 * permille is of the whole journey. */
void link_progress(
    struct link *, enum step_name, uint32_t permille, const char *note);

/*
 * After an abort nothing but the verdict is sent; this lets it pass.
 */
void link_closing(struct link *);

#endif
