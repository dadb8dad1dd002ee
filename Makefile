# station: build, checks, demo, install. Needs the packages that
# scripts/packages lists; scripts/test and scripts/demo install them.
#
#   make            build everything under build/
#   make check      build, static checks and tests
#   make check SAN=address,undefined
#                   the same, built aside with sanitizers
#   make torture    the long form: full kill matrices, long fuzzing
#   make bench      measure; writes build/bench.json
#   make demo       make a lot on the virtual bench
#   make install    DESTDIR= prefix=/usr/local
#   make dist       build/station-VERSION.tar.gz

VERSION	:= $(shell cat VERSION)
prefix	?= /usr/local
bindir	?= $(prefix)/bin
sbindir	?= $(prefix)/sbin
datadir	?= $(prefix)/share
mandir	?= $(datadir)/man
CC	?= gcc
CLANG	?= clang
SAN	?=

comma	:= ,
# V=1 shows whole command lines.
V	?= 0
Q	:= $(if $(filter 0,$(V)),@)
say	= $(if $(filter 0,$(V)),@printf '  %-5s %s\n' $(1) $(2))
BUILD	:= build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
WARN	:= -Wall -Wextra -Wshadow -Wconversion -Wpointer-arith \
	   -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	   -Wwrite-strings -Wcast-qual -Wvla -Wundef -Wformat=2
WERROR	?= -Werror
PACKAGES := libcurl openssl libserialport yaml-0.1 ncursesw sqlite3 jansson \
	   libpcre2-8 zlib libseccomp libmosquitto
BENCH_PACKAGES := libmicrohttpd openssl sqlite3 jansson zlib libmosquitto
OPT	?= -O2 -g
HARDEN	:= -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=2)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all \
	   -fno-omit-frame-pointer -DSTATION_SANITIZED)
CPPFLAGS += -D_GNU_SOURCE -DSTATION_VERSION='"$(VERSION)"' \
	   -DPCRE2_CODE_UNIT_WIDTH=8 -DNCURSES_WIDECHAR=1
ALL_CFLAGS := -std=c11 $(OPT) $(WARN) $(WERROR) $(HARDEN) $(SANFLAGS) \
	   -MMD -MP $(CFLAGS)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now $(SANFLAGS) $(LDFLAGS)

STATION_CFLAGS := -Istation $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
STATION_LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lm -lm
BENCH_CFLAGS := $(shell pkg-config --cflags $(BENCH_PACKAGES) 2>/dev/null)
BENCH_LIBS := $(shell pkg-config --libs $(BENCH_PACKAGES) 2>/dev/null) -lm

# The one place where a sandboxed role's filter is widened is the sanitizer
# build; see station/base/sandbox.h.
STATION_SRC := $(wildcard station/*/*.c)
STATION_OBJ := $(STATION_SRC:%.c=$(BUILD)/obj/%.o)
LIBSTATION := $(BUILD)/lib/libstation.a

# A program of the bench is a file fixtures/*/bench-NAME.c; every other file
# beside it is linked into all programs of that folder.
BENCH_MAIN := $(wildcard fixtures/bench/bench-*.c)
BENCH_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,\
	   $(filter-out $(BENCH_MAIN),$(wildcard fixtures/bench/*.c)))
CLOUD_MAIN := $(wildcard fixtures/cloud/bench-*.c)
CLOUD_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,\
	   $(filter-out $(CLOUD_MAIN),$(wildcard fixtures/cloud/*.c)))
BENCH_BIN := $(patsubst fixtures/bench/%.c,$(BUILD)/bin/%,$(BENCH_MAIN)) \
	   $(patsubst fixtures/cloud/%.c,$(BUILD)/bin/%,$(CLOUD_MAIN))
BIN	:= $(patsubst station/%.c,$(BUILD)/bin/%,$(wildcard station/*.c))

UNIT_SRC := $(wildcard tests/unit/*_test.c)
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%)
FUZZ_SRC := $(wildcard tests/fuzz/*_fuzz.c)
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/fuzz/%)
# Libraries that tests load before a program's own, and small programs.
SHIM_SRC := $(wildcard tests/system/*_shim.c)
SHIM_LIB := $(SHIM_SRC:tests/%.c=$(BUILD)/tools/%.so)
TOOL_SRC := $(filter-out $(SHIM_SRC),$(wildcard tests/system/*.c tests/bench/*.c))
TOOL_BIN := $(patsubst tests/%.c,$(BUILD)/tools/%,$(TOOL_SRC)) $(SHIM_LIB)

.PHONY: all check torture bench demo install uninstall dist clean lint tests fuzz FORCE
all: $(BIN) $(BENCH_BIN)
tests: all $(UNIT_BIN) $(TOOL_BIN)

$(BUILD)/obj/station/%.o: station/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(STATION_CFLAGS) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/obj/fixtures/%.o: fixtures/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(BENCH_CFLAGS) $(ALL_CFLAGS) -c -o $@ $<

$(LIBSTATION): $(STATION_OBJ)
	@mkdir -p $(@D)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BIN): $(BUILD)/bin/%: $(BUILD)/obj/station/%.o $(LIBSTATION)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(STATION_LIBS)

$(BUILD)/bin/bench-%: $(BUILD)/obj/fixtures/bench/bench-%.o $(BENCH_OBJ)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(BENCH_LIBS)

$(BUILD)/bin/bench-cloud: $(BUILD)/obj/fixtures/cloud/bench-cloud.o $(CLOUD_OBJ)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(BENCH_LIBS)

$(BUILD)/tests/%: tests/unit/%.c $(LIBSTATION)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(STATION_CFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) \
	    -o $@ $< $(LIBSTATION) -lcmocka $(STATION_LIBS)

$(BUILD)/tools/%: tests/%.c $(LIBSTATION)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(STATION_CFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) \
	    -o $@ $< $(LIBSTATION) $(STATION_LIBS)

$(BUILD)/tools/%_shim.so: tests/%_shim.c
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) -std=c11 $(OPT) $(WARN) $(WERROR) -fPIC -shared \
	    -o $@ $< -ldl

# Fuzz targets are clang's libFuzzer over the whole of station, built aside:
# once, by a make of its own, and not by one for every target at the same time.
FUZZ_LIB := build/san-fuzzer-no-link-address-undefined/lib/libstation.a
ifeq ($(SAN),)
$(FUZZ_LIB): FORCE
	$(MAKE) CC=$(CLANG) SAN=fuzzer-no-link,address,undefined $@
endif
FORCE:
build/fuzz/%: tests/fuzz/%.c $(FUZZ_LIB)
	@mkdir -p $(@D)
	$(CLANG) $(CPPFLAGS) $(STATION_CFLAGS) -std=c11 -O1 -g $(WARN) \
	    -DSTATION_SANITIZED -fsanitize=fuzzer,address,undefined -o $@ $< \
	    $(FUZZ_LIB) $(STATION_LIBS)
fuzz: $(FUZZ_SRC:tests/fuzz/%.c=build/fuzz/%)

lint:
	scripts/lint
check: tests
	BUILD=$(BUILD) tests/run
torture: tests
	BUILD=$(BUILD) tests/torture
bench: tests
	BUILD=$(BUILD) tests/bench/run
demo: all
	scripts/demo

-include install.mk

dist:
	@mkdir -p build
	git archive --format=tar.gz --prefix=station-$(VERSION)/ \
	    -o build/station-$(VERSION).tar.gz HEAD
clean:
	rm -rf build

-include $(shell find build -name '*.d' 2>/dev/null)
