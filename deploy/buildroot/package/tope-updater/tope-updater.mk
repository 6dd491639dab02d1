################################################################################
#
# tope-updater
#
################################################################################

# TOPE_UPDATER_VERSION and the checksums of its files are made with the release.
include $(BR2_EXTERNAL_TOPE_UPDATER_PATH)/package/tope-updater/version.inc
TOPE_UPDATER_SITE = $(call qstrip,$(BR2_PACKAGE_TOPE_UPDATER_URL))
ifeq ($(BR2_x86_64),y)
TOPE_UPDATER_EXECUTABLE = tope-updater-x64
else ifeq ($(BR2_aarch64),y)
TOPE_UPDATER_EXECUTABLE = tope-updater-arm64
else
TOPE_UPDATER_EXECUTABLE = tope-updater-armv7
endif
TOPE_UPDATER_SOURCE = $(TOPE_UPDATER_EXECUTABLE).xz
TOPE_UPDATER_FILES = \
	LICENSES.txt \
	launch.sh \
	tope-updater-recover.service \
	tope-updater.init \
	tope-updater.service
TOPE_UPDATER_EXTRA_DOWNLOADS = $(addprefix $(TOPE_UPDATER_SITE)/,$(TOPE_UPDATER_FILES))
TOPE_UPDATER_EXTRACT_DEPENDENCIES = $(BR2_XZCAT_HOST_DEPENDENCY)
TOPE_UPDATER_LICENSE = MIT
TOPE_UPDATER_LICENSE_FILES = LICENSES.txt

define TOPE_UPDATER_EXTRACT_CMDS
	$(XZCAT) $(TOPE_UPDATER_DL_DIR)/$(TOPE_UPDATER_SOURCE) > $(@D)/tope-updater
	cp $(addprefix $(TOPE_UPDATER_DL_DIR)/,$(TOPE_UPDATER_FILES)) $(@D)/
endef

# A stripped executable aborts at its start.
define TOPE_UPDATER_INSTALL_TARGET_CMDS
	$(if $(BR2_STRIP_strip),$(if $(filter tope-updater,$(call qstrip,$(BR2_STRIP_EXCLUDE_FILES))),,$(error BR2_STRIP_EXCLUDE_FILES must name tope-updater)))
	$(INSTALL) -D -m 0755 $(@D)/tope-updater $(TARGET_DIR)/opt/tope/updater/tope-updater
	$(INSTALL) -D -m 0755 $(@D)/launch.sh $(TARGET_DIR)/opt/tope/updater/tope-updater-launch
	mkdir -p $(TARGET_DIR)/usr/bin $(TARGET_DIR)/etc/default
	ln -sf /opt/tope/updater/tope-updater $(TARGET_DIR)/usr/bin/tope-updater
	printf 'TOPE_UPDATER_OPTIONS="%s"\n' "$(call qstrip,$(BR2_PACKAGE_TOPE_UPDATER_OPTIONS))" > $(TARGET_DIR)/etc/default/tope-updater
endef

define TOPE_UPDATER_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 $(@D)/tope-updater.service $(TARGET_DIR)/usr/lib/systemd/system/tope-updater.service
	$(INSTALL) -D -m 0644 $(@D)/tope-updater-recover.service $(TARGET_DIR)/usr/lib/systemd/system/tope-updater-recover.service
endef

# Two names: the one before all services makes the files of an update whole that was cut.
define TOPE_UPDATER_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 0755 $(@D)/tope-updater.init $(TARGET_DIR)/etc/init.d/S90tope-updater
	ln -sf S90tope-updater $(TARGET_DIR)/etc/init.d/S02tope-updater-recover
endef

$(eval $(generic-package))
