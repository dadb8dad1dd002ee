/*
 * The vault role: it holds the lots' claim keys and gives one out for each
 * grant, on a private pair with the slot that the grant is for.
 *
 * stationd starts it as `--role vault` with two channels: to the line on
 * ROLE_FD_CHANNEL and to the parent on ROLE_FD_FIRST.
 *
 *	parent  VAULT_KEY     a key file's descriptor, the certificate that the
 *	                      key must belong to, and the lot's index; a key
 *	                      that is there for the index is replaced
 *	parent  VAULT_PAIR    the vault's end of an attempt's private pair
 *	line    VAULT_GRANT   lot and attempt: MESSAGE_SECRET goes out on that
 *	                      attempt's pair, once for each grant
 *
 * The line sends a grant only when the ledger has committed the counted
 * hand-out; a resend of a grant is answered and sends nothing. Keys live in
 * locked memory, and nothing is opened or written after the start.
 */
#ifndef VAULT_ROLE_H
#define VAULT_ROLE_H

/* Runs until one of its channels ends; an exit status of sysexits(3). */
int vault_role(void);

#endif
