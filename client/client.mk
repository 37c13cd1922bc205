# The client program pneumo-load: its rules for PGXS.  Needs libpq, which the
# library of the server does not.

CLIENT_VERSION = $(EXTVERSION)
CLIENT_OBJS = \
	client/load.o \
	client/main.o \
	client/manifest.o \
	client/options.o \
	client/plan.o \
	client/report.o \
	client/table.o \
	$(end)

# Of the library's objects those that know files and tags, and need no decoder.
CLIENT_PLAIN = $(OBJS_TREE) \
	src/image/foreign.o \
	src/image/recognise.o \
	src/image/status.o \
	$(if $(filter 0,$(WITH_DICOM)),$(OBJS_WITHOUT_DICOM),src/image/dicom_data.o src/image/dicom_dictionary.o) \
	$(end)
CLIENT_LIBS = -L$(shell $(PG_CONFIG) --libdir) -lpq -lpthread $(if $(filter 0,$(WITH_DICOM)),,-lz)

all: client/pneumo-load

$(CLIENT_OBJS): client/client.h
$(CLIENT_OBJS): override CPPFLAGS := -I$(srcdir)/src -I$(shell $(PG_CONFIG) --includedir) -D_GNU_SOURCE \
	-DPNEUMO_CLIENT_VERSION='"$(CLIENT_VERSION)"' $(CPPFLAGS)
$(CLIENT_OBJS): override CFLAGS += -Wextra -Wvla -Wno-declaration-after-statement $(SANITIZERS) \
	-MMD -MP -MF $(@:.o=.d) -MT $@
-include $(wildcard $(CLIENT_OBJS:.o=.d))

client/pneumo-load: $(CLIENT_OBJS) $(CLIENT_PLAIN)
	$(CC) $(CFLAGS) $(SANITIZERS) $(CLIENT_OBJS) $(CLIENT_PLAIN) $(LDFLAGS) $(LDFLAGS_EX) $(CLIENT_LIBS) -o $@

install: install-client
uninstall: uninstall-client
clean: clean-client

.PHONY: install-client uninstall-client clean-client
install-client: client/pneumo-load
	$(MKDIR_P) '$(DESTDIR)$(bindir)' '$(DESTDIR)$(mandir)/man1'
	$(INSTALL_PROGRAM) client/pneumo-load '$(DESTDIR)$(bindir)/pneumo-load'
	$(INSTALL_DATA) $(srcdir)/doc/pneumo-load.1 '$(DESTDIR)$(mandir)/man1/'

uninstall-client:
	rm -f '$(DESTDIR)$(bindir)/pneumo-load' '$(DESTDIR)$(mandir)/man1/pneumo-load.1'

clean-client:
	rm -f client/pneumo-load $(CLIENT_OBJS) $(CLIENT_OBJS:.o=.d)
