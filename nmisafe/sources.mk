# The modules' files, written from their CMakeLists.txt by the target source_lists.

nmisafe_needs_base :=
nmisafe_sources_base :=

nmisafe_needs_x86 := base
nmisafe_sources_x86 := instruction.cpp

nmisafe_needs_ctf := base
nmisafe_sources_ctf := metadata.cpp table.cpp

nmisafe_needs_clock := base x86
nmisafe_sources_clock :=

nmisafe_needs_ring_buffer := base x86
nmisafe_sources_ring_buffer := create.cpp read.cpp

nmisafe_needs_trace_descriptor := base
nmisafe_sources_trace_descriptor := descriptor.cpp

nmisafe_needs_platform := base x86
nmisafe_sources_platform :=

nmisafe_needs_context := base x86 platform
nmisafe_sources_context :=

nmisafe_needs_trap := base x86 platform context
nmisafe_sources_trap := dispatch.cpp nmi.cpp nmi_block.cpp nmi_boundary.cpp nmi_debug.cpp entry_x86_32.S entry_x86_64.S nmi_x86_32.S nmi_x86_64.S

nmisafe_needs_user := base x86 platform context trap
nmisafe_sources_user := dispatch.cpp dispatch_x86_32.cpp entry_x86_32.S entry_x86_64.S nmi_x86_64.S

nmisafe_needs_setup := base x86 platform context trap
nmisafe_sources_setup := judge.cpp setup.cpp

nmisafe_needs_text_patch := base x86 platform
nmisafe_sources_text_patch := apply.cpp breakpoint.cpp check.cpp text.cpp

nmisafe_needs_vmalloc := base x86 platform
nmisafe_sources_vmalloc := address_space.cpp fault.cpp mappings.cpp

nmisafe_needs_module_loader := base x86 platform vmalloc
nmisafe_sources_module_loader := exports.cpp loader.cpp vmalloc_memory.cpp

nmisafe_needs_immediate := base x86 platform text_patch
nmisafe_sources_immediate := check.cpp join.cpp set.cpp

nmisafe_needs_marker := base x86 platform context text_patch immediate
nmisafe_sources_marker := check.cpp join.cpp marker.cpp registration.cpp

nmisafe_needs_kprobe := base x86 platform context text_patch
nmisafe_sources_kprobe := breakpoint.cpp check.cpp closed_range.cpp insert.cpp plan.cpp turn.cpp

nmisafe_needs_tracer := base x86 platform context ctf clock ring_buffer trace_descriptor text_patch immediate marker kprobe
nmisafe_sources_tracer := control.cpp kernel_events.cpp markers.cpp probes.cpp

nmisafe_needs_profiler := base x86 platform context text_patch kprobe ctf clock ring_buffer trace_descriptor immediate marker tracer
nmisafe_sources_profiler := chain.cpp guarded_load.cpp guarded_load_x86_32.S guarded_load_x86_64.S sample.cpp

nmisafe_needs_c := base x86 platform context trap setup
nmisafe_sources_c := context.cpp error.cpp layout.cpp trap.cpp

nmisafe_needs_c_probes := base x86 platform text_patch immediate context marker kprobe trap setup c
nmisafe_sources_c_probes := kprobe.cpp layout.cpp marker.cpp text_patch.cpp

nmisafe_needs_c_vmalloc := base x86 platform vmalloc context trap setup c
nmisafe_sources_c_vmalloc := vmalloc.cpp
