include $(sort $(wildcard $(BR2_EXTERNAL_TOPE_UPDATER_PATH)/package/*/*.mk))
