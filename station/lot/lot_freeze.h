/*
 * The frozen copy of a lot: what was opened is what is made, whatever
 * becomes of the folder under lots/.
 *
 *	STATE/lots/NAME/
 *		lot.yaml                 byte for byte as it was opened
 *		profile.yaml
 *		manifest.csv
 *		root-ca.pem
 *		claim-certificate.pem    pattern claim
 *		template.json            when the lot names a file
 *		ca.pem                   patterns jitp and jitr
 *		readback-ca.pem          when the lot names one
 *		firmware/...             flasher_args.json and its files
 *		frozen.sha256            as sha256sum(1) writes and checks it
 *		origin                   the folder that was opened; a relative
 *		                         path of a key or password belongs
 *		                         to it
 *
 * Keys and passwords are never copied. `origin` is no content of the lot and is
 * not in frozen.sha256.
 */
#ifndef LOT_LOT_FREEZE_H
#define LOT_LOT_FREEZE_H

#include "lot/bundle.h"

/*
 * Makes the copy, durable when 0 is returned. A copy with the same contents
 * is kept; one with others is a problem. Sets image.frozen.
 */
int lot_freeze(
    const struct station_config *, struct lot_bundle *, struct problems *);

/*
 * Checks every hash of a frozen copy and reads its origin; 0 when all is as
 * it was frozen.
 */
int lot_frozen_verify(
    const char *folder, char *origin, size_t size, struct problems *);
/* True when the files that were loaded are those that were frozen. */
int lot_frozen_match(const struct lot_bundle *, struct problems *);

/* Sets image->frozen to STATE/lots/NAME; -1 when the path is too long. */
int lot_frozen_folder(const struct station_config *, struct lot_image *);

#endif
