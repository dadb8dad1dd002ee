/* Lots and the accounts behind them, as cloud.h declares them. */
#include "cloud/cloud.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cloud/pattern.h"

/* Frees a lot that nobody uses and that is no longer in the table. */
void
lot_drop(struct cloud_lot *lot)
{
	if (lot == NULL || --lot->users > 0)
		return;
	if (lot->account != NULL)
		lot->account->keyring.users--;
	proxy_close(lot->fleets);
	if (lot->image != NULL)
		munmap((void *)(uintptr_t)lot->image, lot->image_len);
	free(lot);
}

/* An open account of the same AWS account and Region, or null. */
static struct account *
account_sharing(struct cloud *cloud, const struct config_cloud *wanted)
{
	for (size_t i = 0; i < CLOUDS_MAX; i++) {
		const struct config_cloud *other = cloud->accounts[i].cloud;

		if (other != NULL &&
		    strcmp(other->account, wanted->account) == 0 &&
		    strcmp(other->region, wanted->region) == 0)
			return &cloud->accounts[i];
	}
	return NULL;
}

/* The account of a cloud profile, opened when it is named first. */
static struct account *
account_of(
    struct cloud *cloud, const struct lot_image *lot, struct fault *fault)
{
	const struct config_cloud *profile =
	    config_cloud_find(cloud->config, lot->cloud);
	struct account *account;

	if (profile == NULL) {
		fault_set(fault, CAUSE_BAD_LOT,
		    "lot %s names cloud %s, which the station has not",
		    lot->name, lot->cloud);
		return NULL;
	}
	if (strcmp(profile->account, lot->account) != 0) {
		fault_set(fault, CAUSE_CLOUD_ACCOUNT,
		    "lot %s belongs to account %s, cloud %s is account %s",
		    lot->name, lot->account, profile->name, profile->account);
		return NULL;
	}
	account = &cloud->accounts[profile - cloud->config->clouds];
	if (account->cloud == NULL &&
	    account_open(account, profile, &cloud->base,
		account_sharing(cloud, profile), cloud->caller.changed,
		cloud->caller.arg, fault) == -1)
		return NULL;
	return account;
}

struct cloud_lot *
lot_open(
    struct cloud *cloud, const struct message *message, struct fault *fault)
{
	struct cloud_lot *lot = calloc(1, sizeof(*lot));
	const void *data;

	if (lot == NULL) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		return NULL;
	}
	lot->users = 1;
	if (message->fd_count != 1) {
		fault_set(fault, CAUSE_INTERNAL, "a lot came without image");
		goto fail;
	}
	if (file_map_sealed(message->fds[0], sizeof(struct lot_image),
		sizeof(struct lot_image), &data, &lot->image_len, fault) == -1)
		goto fail;
	lot->image = data;
	if (lot->image->magic != LOT_MAGIC ||
	    lot->image->size != sizeof(struct lot_image)) {
		fault_set(fault, CAUSE_INTERNAL, "a lot's image is not one");
		goto fail;
	}
	lot->account = account_of(cloud, lot->image, fault);
	if (lot->account == NULL)
		goto fail;
	lot->account->keyring.users++;
	fault_set(&lot->fault, CAUSE_CLOUD_ACCOUNT,
	    "lot %s: its account has not been proven yet", lot->image->name);
	return lot;
fail:
	lot_drop(lot);
	return NULL;
}
