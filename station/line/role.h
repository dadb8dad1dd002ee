/* The line role: the board, presence, the control socket, routing. */
#ifndef LINE_ROLE_H
#define LINE_ROLE_H

int line_role(void);

#endif
