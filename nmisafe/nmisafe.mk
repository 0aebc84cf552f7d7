# SPDX-License-Identifier: MIT
# nmisafe for a kernel that is built with GNU make.
#
#     NMISAFE_MODULES := trap context              # the modules that the kernel uses; what they need comes along
#     NMISAFE_BUILD   := $(BUILD)/nmisafe          # where their objects go
#     include path/to/nmisafe/nmisafe/nmisafe.mk
#     CPPFLAGS += $(NMISAFE_CPPFLAGS)              # and the folder of your nmisafe_platform.hpp
#     kernel.elf: $(OBJECTS) $(NMISAFE_OBJECTS)
#
# The rules below compile with CXX, CC, CPPFLAGS, CXXFLAGS and ASFLAGS, as make's own do. NMISAFE_SOURCES names
# the files for who has rules of their own.
NMISAFE_FOLDER := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
include $(NMISAFE_FOLDER)/sources.mk

$(foreach module,$(NMISAFE_MODULES),$(if $(filter undefined,$(origin nmisafe_sources_$(module))),$(error nmisafe has no module $(module))))

NMISAFE_ALL_MODULES := $(sort $(NMISAFE_MODULES) $(foreach module,$(NMISAFE_MODULES),$(nmisafe_needs_$(module))))
NMISAFE_NAMES := $(foreach module,$(NMISAFE_ALL_MODULES),$(addprefix $(module)/,$(nmisafe_sources_$(module))))
NMISAFE_SOURCES := $(addprefix $(NMISAFE_FOLDER)/,$(NMISAFE_NAMES))
# The kernel in C has its nmisafe_platform.hpp from the library.
NMISAFE_CPPFLAGS := -I$(NMISAFE_FOLDER)/.. $(if $(filter c,$(NMISAFE_ALL_MODULES)),-I$(NMISAFE_FOLDER)/c/platform)
NMISAFE_BUILD ?= nmisafe-objects
# The whole name with its ending: entry.S and entry.cpp may stand side by side.
NMISAFE_OBJECTS := $(addsuffix .o,$(addprefix $(NMISAFE_BUILD)/,$(NMISAFE_NAMES)))

$(NMISAFE_BUILD)/%.cpp.o: $(NMISAFE_FOLDER)/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(CPPFLAGS) $(CXXFLAGS) -MMD -MP -c -o $@ $<

$(NMISAFE_BUILD)/%.S.o: $(NMISAFE_FOLDER)/%.S
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ASFLAGS) -MMD -MP -c -o $@ $<

-include $(NMISAFE_OBJECTS:.o=.d)
