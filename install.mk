# make install: programs, man pages, examples, service files.

SYSTEMD_UNIT := $(BUILD)/stationd.service

$(SYSTEMD_UNIT): config/stationd.service.in VERSION
	@mkdir -p $(@D)
	sed 's|@sbindir@|$(sbindir)|' $< >$@

install: all $(SYSTEMD_UNIT)
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(sbindir)
	install -m 755 $(BUILD)/bin/station $(DESTDIR)$(bindir)/station
	install -m 755 $(BUILD)/bin/stationd $(DESTDIR)$(sbindir)/stationd
	install -d $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(mandir)/man5 \
	    $(DESTDIR)$(mandir)/man8
	for page in man/*.[158]; do \
		install -m 644 $$page $(DESTDIR)$(mandir)/man$${page##*.}/ || \
		    exit 1; \
	done
	install -d $(DESTDIR)$(datadir)/station/profiles \
	    $(DESTDIR)$(datadir)/station/examples \
	    $(DESTDIR)$(datadir)/bash-completion/completions \
	    $(DESTDIR)$(prefix)/lib/systemd/system
	install -m 644 fixtures/profiles/*.yaml \
	    $(DESTDIR)$(datadir)/station/profiles/
	install -m 644 config/station.yaml config/60-station.rules \
	    lots/demo/lot.yaml lots/demo/manifest.csv \
	    $(DESTDIR)$(datadir)/station/examples/
	install -m 644 config/completions/station.bash \
	    $(DESTDIR)$(datadir)/bash-completion/completions/station
	install -m 644 $(SYSTEMD_UNIT) \
	    $(DESTDIR)$(prefix)/lib/systemd/system/stationd.service

uninstall:
	rm -f $(DESTDIR)$(bindir)/station $(DESTDIR)$(sbindir)/stationd
	for page in man/*.[158]; do \
		rm -f $(DESTDIR)$(mandir)/man$${page##*.}/$${page##*/}; \
	done
	rm -rf $(DESTDIR)$(datadir)/station
	rm -f $(DESTDIR)$(datadir)/bash-completion/completions/station \
	    $(DESTDIR)$(prefix)/lib/systemd/system/stationd.service
