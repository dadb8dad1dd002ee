/*
 * One line a fact on standard error: `<3>role: text`, with journald's
 * priority prefix when standard error is not a terminal. Control bytes are
 * escaped as \xNN; a long line is cut. Never given a secret.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/* syslog(3)'s numbers. */
enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/*
 * Once at the start of each role; the name is copied. Before it lines have
 * no role, and debugging is left out.
 */
void log_open(const char *role, enum log_level least);
void log_line(enum log_level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define log_error(...)	 log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)	 log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
