/*
 * What the two halves of yaml.h share: yaml.c builds the tree, yaml_get.c
 * reads it. Nobody else includes this.
 */
#ifndef BASE_YAML_TREE_H
#define BASE_YAML_TREE_H

#include "base/yaml.h"

struct yaml_document {
	char *file;
	struct yaml_node *root;
};

/* A key that a getter asked a map for, whether it is there or not. */
struct yaml_asked {
	struct yaml_asked *next;
	char key[];
};

void yaml_asked_free(struct yaml_asked *);

#endif
