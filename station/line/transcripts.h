/*
 * The folder of transcripts, kept within the size and age that the
 * configuration allows: the oldest files go first. Run by the parent, which
 * alone may remove a file there.
 */
#ifndef LINE_TRANSCRIPTS_H
#define LINE_TRANSCRIPTS_H

#include "lot/config.h"

/* Removes what is too old or too much; what cannot be removed is logged. */
void transcripts_prune(const struct station_config *);

#endif
