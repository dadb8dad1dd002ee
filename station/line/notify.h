/* sd_notify(3)'s protocol, without its library: one datagram a state. */
#ifndef LINE_NOTIFY_H
#define LINE_NOTIFY_H

/* Nothing happens when NOTIFY_SOCKET is not set. */
void notify_state(const char *state);

#endif
