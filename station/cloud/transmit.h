/*
 * One try of a call: its URL, its signature and its way to http.c. For
 * call.c, which decides when, and whether there is another.
 */
#ifndef CLOUD_TRANSMIT_H
#define CLOUD_TRANSMIT_H

#include "base/fault.h"
#include "cloud/call.h"

/*
 * Signs the call with the time of now and sends it; answered(call) is called
 * from the loop. -1 when it cannot be sent: nothing was, then.
 */
int call_transmit(struct call *, void (*answered)(void *arg), struct fault *);

#endif
