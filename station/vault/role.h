/*
 * The vault role: it holds the open lots' claim keys, CA keys and Wi-Fi
 * passwords and the keys that AWS made for single units. It gives them out
 * for grants, on a private pair with the slot that a grant is for; it signs
 * units' certificates; and it proves keys on cloud's connections. A CA key
 * never leaves it, nor does a claim key that it proves.
 *
 * stationd starts it as `--role vault` with two channels: to the line on
 * ROLE_FD_CHANNEL and to the parent on ROLE_FD_FIRST. base/message.h has the
 * bodies.
 *
 *	parent  VAULT_KEY     a key's files, the certificate that the key must
 *	                      belong to, and the lot's index
 *	parent  KEYS_FORGET   the lot of that index is closed
 *	parent  VAULT_PAIR    the vault's end of an attempt's private pair
 *	parent  VAULT_CLOUD   the vault's end of the private pair with cloud
 *	line    VAULT_GRANT   lot and attempt: MESSAGE_SECRET goes out on that
 *	                      attempt's pair, once for each grant
 *	line    VAULT_SIGN    a request: the answer has the certificate
 *	cloud   PROVE         input: the answer has the signature
 *	cloud   DEPOSIT       a key that AWS made for an attempt
 *
 * The line sends a grant only when the ledger has committed the counted
 * hand-out; a resend of a grant is answered and sends nothing. Keys live in
 * locked memory, and nothing is opened or written after the start.
 */
#ifndef VAULT_ROLE_H
#define VAULT_ROLE_H

/* Runs until one of its channels ends; an exit status of sysexits(3). */
int vault_role(void);
/*
 * `--role hsm`: the same of VAULT_KEY, KEYS_FORGET and VAULT_SIGN for CA keys
 * in a PKCS #11 token; vault/token.h.
 */
int hsm_role(void);

#endif
