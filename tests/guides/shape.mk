# SPDX-License-Identifier: MIT
# Builds and boots a kernel of docs/guides/add_to_a_kernel.md: SHAPE, WIDTH and STEPS are given, MODULES where setup and
# trap are not all. LEFT_OUT=step leaves one of STEPS out; WITHOUT=1 returns by IRET.
CXX := g++
CC := $(CXX)
BUILD ?= build
$(if $(filter-out $(STEPS),$(LEFT_OUT)),$(error LEFT_OUT is one of: $(STEPS)))
LEFT := $(if $(WITHOUT),policy,$(or $(LEFT_OUT),nothing))
KERNEL := $(BUILD)/$(SHAPE)_$(LEFT)
FLAGS := -m$(WIDTH) -O2 -fno-pic -ffreestanding -mno-red-zone -mgeneral-regs-only
CXXFLAGS := -std=c++20 $(FLAGS) -fno-exceptions -fno-rtti -fno-stack-protector -fno-asynchronous-unwind-tables \
    -fno-threadsafe-statics -Wall -Wextra
ASFLAGS := -m$(WIDTH)
ADDRESSES_64 := -Wl,-e,start,-Ttext=0x101000,--section-start=.multiboot=0x100000
ADDRESSES_32 := -Wl,-T,../boot/higher_half.ld,--build-id=none,--no-warn-rwx-segments
LDFLAGS := -m$(WIDTH) -nostdlib -static -no-pie -Wl,-z,noexecstack $(ADDRESSES_$(WIDTH))

$(KERNEL): $(KERNEL).elf
	objcopy -O elf32-i386 $(if $(filter section,$(LEFT)),-R nmisafe_trap_text) $< $@

NMISAFE_MODULES := $(or $(MODULES),setup trap)
NMISAFE_BUILD := $(BUILD)/nmisafe
include ../../../nmisafe/nmisafe.mk
CPPFLAGS += $(NMISAFE_CPPFLAGS) -I. -I../contract

OBJECTS := $(KERNEL).o $(BUILD)/boot.o $(BUILD)/machine.o $(if $(wildcard switch.S),$(BUILD)/switch.o)

$(KERNEL).o: kernel.cpp
	@mkdir -p $(BUILD)
	$(CXX) $(CPPFLAGS) $(CXXFLAGS) -DGUIDE_LEFT_OUT=$(LEFT) -c -o $@ $<

$(BUILD)/%.o: ../boot/%.cpp
	@mkdir -p $(BUILD)
	$(CXX) $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<

$(BUILD)/%.o: ../boot/%.S
	@mkdir -p $(BUILD)
	$(CC) $(ASFLAGS) -c -o $@ $<

$(BUILD)/%.o: %.S
	$(CC) $(ASFLAGS) -c -o $@ $<

$(KERNEL).elf: $(OBJECTS) $(NMISAFE_OBJECTS)
	$(CXX) $(LDFLAGS) -o $@ $^

run: $(KERNEL)
	timeout 60 qemu-system-x86_64 -accel tcg -cpu max -m 1024 -display none -no-reboot -debugcon stdio \
	    -device isa-debug-exit,iobase=0xf4 -kernel $<; test $$? = 1

.PHONY: run
