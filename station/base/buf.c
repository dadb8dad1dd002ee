#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
buf_init(struct buf *buf, size_t max)
{
	memset(buf, 0, sizeof(*buf));
	buf->max = max;
}

/* Makes room for len more bytes and a NUL. */
static bool
buf_reserve(struct buf *buf, size_t len)
{
	size_t size;
	char *data;

	if (buf->failed || len > buf->max - buf->len || len >= SIZE_MAX / 4) {
		buf->failed = true;
		return false;
	}
	if (buf->data != NULL && buf->size - buf->len > len)
		return true;
	size = buf->size < 64 ? 64 : buf->size;
	while (size - buf->len <= len)
		size *= 2;
	data = realloc(buf->data, size);
	if (data == NULL) {
		buf->failed = true;
		return false;
	}
	buf->data = data;
	buf->size = size;
	return true;
}

void
buf_add(struct buf *buf, const void *from, size_t len)
{
	if (!buf_reserve(buf, len))
		return;
	if (len > 0)
		memcpy(buf->data + buf->len, from, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void
buf_add_text(struct buf *buf, const char *text)
{
	buf_add(buf, text, strlen(text));
}

void
buf_add_format(struct buf *buf, const char *format, ...)
{
	va_list arguments;
	int len;

	va_start(arguments, format);
	len = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (len < 0) {
		buf->failed = true;
		return;
	}
	if (!buf_reserve(buf, (size_t)len))
		return;
	va_start(arguments, format);
	(void)vsnprintf(
	    buf->data + buf->len, (size_t)len + 1, format, arguments);
	va_end(arguments);
	buf->len += (size_t)len;
}

void
buf_drop(struct buf *buf, size_t len)
{
	if (buf->data == NULL)
		return;
	if (len > buf->len)
		len = buf->len;
	buf->len -= len;
	memmove(buf->data, buf->data + len, buf->len + 1);
}

void
buf_reset(struct buf *buf)
{
	buf->len = 0;
	buf->failed = false;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

void
buf_free(struct buf *buf)
{
	if (buf == NULL)
		return;
	free(buf->data);
	buf_init(buf, buf->max);
}
