# The modules' files, written from their CMakeLists.txt by the target source_lists.
LIBRARY = {
  "version": "0.1.0",
  "modules": {
    "base": {
      "needs": [],
      "headers": ["address_range.hpp", "expected.hpp", "language.hpp", "site_record.h", "std.hpp", "symbol_operand.hpp", "trap_text.hpp", "uninstrumented.hpp", "version.hpp", "word_64.hpp", "internal/clang_thunks.hpp"],
      "sources": []
    },
    "x86": {
      "needs": ["base"],
      "headers": ["condition.hpp", "flags.h", "indirect_target.h", "trap_frame.h", "vectors.h", "assembly_call.hpp", "registers.hpp", "local.hpp", "descriptors.hpp", "port.hpp", "serialize.hpp", "tsc.hpp", "instruction.hpp", "paging.hpp", "width.hpp", "internal/byte_reader.hpp", "internal/extended_prefix.hpp", "internal/prefix_set.hpp", "internal/opcode_row.hpp", "internal/opcode_table.hpp", "internal/opcodes_one_byte.hpp", "internal/opcodes_0f.hpp", "internal/opcodes_vex.hpp", "internal/opcodes_evex.hpp", "internal/opcodes_xop.hpp"],
      "sources": ["instruction.cpp"]
    },
    "ctf": {
      "needs": ["base"],
      "headers": ["event.hpp", "metadata.hpp", "table.hpp", "text.hpp"],
      "sources": ["metadata.cpp", "table.cpp"]
    },
    "clock": {
      "needs": ["base", "x86"],
      "headers": ["conversion.hpp", "cpu_clock.hpp", "synchrony.hpp", "trace_clock.hpp"],
      "sources": []
    },
    "ring_buffer": {
      "needs": ["base", "x86"],
      "headers": ["create.hpp", "layout.hpp", "read.hpp", "write.hpp", "internal/packets.hpp", "internal/places.hpp", "internal/reserve_slow.hpp"],
      "sources": ["create.cpp", "read.cpp"]
    },
    "trace_descriptor": {
      "needs": ["base"],
      "headers": ["descriptor.hpp"],
      "sources": ["descriptor.cpp"]
    },
    "platform": {
      "needs": ["base", "x86"],
      "headers": ["contract.hpp", "cpu_state.hpp", "failure.hpp", "frame.hpp", "frame_layout.hpp", "requirements.hpp", "return_image.hpp", "waiting.hpp"],
      "sources": []
    },
    "context": {
      "needs": ["base", "x86", "platform"],
      "headers": ["count.hpp", "layout.hpp", "layouts.hpp"],
      "sources": []
    },
    "trap": {
      "needs": ["base", "x86", "platform", "context"],
      "headers": ["trap.hpp", "breakpoint_dispatch.hpp", "policy.hpp", "breakpoints.hpp", "handlers.hpp", "return_kind.h", "return_common.h", "return_plan.hpp", "return_alone.h", "return_check.h", "return_x86_32.h", "return_x86_64.h", "nmi_block.h", "nmi_boundary.hpp", "nmi_debug.hpp", "nmi_latch.h", "nmi_tables_x86_64.h", "controls.h", "shadow.hpp", "shadow_stack_x86_64.h", "nmi_shadow_stack_x86_64.h", "entry_calls.hpp", "entry_macros.h"],
      "sources": ["dispatch.cpp", "nmi.cpp", "nmi_block.cpp", "nmi_boundary.cpp", "nmi_debug.cpp", "entry_x86_32.S", "entry_x86_64.S", "nmi_x86_32.S", "nmi_x86_64.S"]
    },
    "user": {
      "needs": ["base", "x86", "platform", "context", "trap"],
      "headers": ["user.hpp", "controls.h", "cpu_words.h", "entry_calls.hpp", "entry_macros_x86_32.h", "entry_macros_x86_64.h", "frame_x86_32.h", "layout.h", "return_plan.hpp", "shadow_stack_x86_64.h", "user_frame.hpp"],
      "sources": ["dispatch.cpp", "dispatch_x86_32.cpp", "entry_x86_32.S", "entry_x86_64.S", "nmi_x86_64.S"]
    },
    "setup": {
      "needs": ["base", "x86", "platform", "context", "trap"],
      "headers": ["setup.hpp", "internal/machine.hpp"],
      "sources": ["judge.cpp", "setup.cpp"]
    },
    "text_patch": {
      "needs": ["base", "x86", "platform"],
      "headers": ["breakpoint.hpp", "text.hpp", "text_patch.hpp", "internal/batch.hpp", "internal/check.hpp", "internal/effect.hpp", "internal/emulate.hpp", "internal/simple_instruction.hpp"],
      "sources": ["apply.cpp", "breakpoint.cpp", "check.cpp", "text.cpp"]
    },
    "vmalloc": {
      "needs": ["base", "x86", "platform"],
      "headers": ["area.hpp", "controls.hpp", "permission.hpp", "vmalloc.hpp", "vmalloc_error.hpp", "internal/mapping.hpp", "internal/resolve.hpp", "internal/tables.hpp"],
      "sources": ["address_space.cpp", "fault.cpp", "mappings.cpp"]
    },
    "module_loader": {
      "needs": ["base", "x86", "platform", "vmalloc"],
      "headers": ["declare.hpp", "exports.hpp", "load_error.hpp", "memory.hpp", "module_loader.hpp", "x86/record.hpp", "internal/calls.hpp", "internal/check.hpp", "internal/check_header.hpp", "internal/controls.hpp", "internal/elf.hpp", "internal/entries.hpp", "internal/layout.hpp", "internal/link.hpp", "internal/object.hpp", "internal/placement.hpp", "internal/relocate.hpp", "internal/section_sort.hpp", "internal/segments.hpp"],
      "sources": ["exports.cpp", "loader.cpp", "vmalloc_memory.cpp"]
    },
    "immediate": {
      "needs": ["base", "x86", "platform", "text_patch"],
      "headers": ["immediate.hpp", "join.hpp", "site.hpp", "translate.hpp", "internal/batch.hpp", "internal/check.hpp", "x86/record.hpp"],
      "sources": ["check.cpp", "join.cpp", "set.cpp"]
    },
    "marker": {
      "needs": ["base", "x86", "platform", "context", "text_patch", "immediate"],
      "headers": ["argument.hpp", "format.hpp", "join.hpp", "marker.hpp", "statement.hpp", "trace_mark.hpp", "words.hpp", "internal/check.hpp", "internal/hits.hpp", "internal/registration.hpp", "internal/retirement.hpp", "x86/record.hpp"],
      "sources": ["check.cpp", "join.cpp", "marker.cpp", "registration.cpp"]
    },
    "kprobe": {
      "needs": ["base", "x86", "platform", "context", "text_patch"],
      "headers": ["closed_range.hpp", "kprobe.hpp", "probe_error.hpp", "internal/address_order.hpp", "internal/branch.hpp", "internal/check.hpp", "internal/leaves_traps_alone.hpp", "internal/removal.hpp", "internal/step.hpp", "internal/table.hpp", "internal/turn.hpp"],
      "sources": ["breakpoint.cpp", "check.cpp", "closed_range.cpp", "insert.cpp", "plan.cpp", "turn.cpp"]
    },
    "tracer": {
      "needs": ["base", "x86", "platform", "context", "ctf", "clock", "ring_buffer", "trace_descriptor", "text_patch", "immediate", "marker", "kprobe"],
      "headers": ["control.hpp", "cpu.hpp", "event.hpp", "field.hpp", "kernel_events.hpp", "markers.hpp", "probes.hpp", "internal/marker_type.hpp", "internal/patterns.hpp", "internal/state.hpp", "internal/write.hpp"],
      "sources": ["control.cpp", "kernel_events.cpp", "markers.cpp", "probes.cpp"]
    },
    "profiler": {
      "needs": ["base", "x86", "platform", "context", "text_patch", "kprobe", "ctf", "clock", "ring_buffer", "trace_descriptor", "immediate", "marker", "tracer"],
      "headers": ["chain.hpp", "guarded_load.hpp", "performance_counter.hpp", "sample.hpp"],
      "sources": ["chain.cpp", "guarded_load.cpp", "guarded_load_x86_32.S", "guarded_load_x86_64.S", "sample.cpp"]
    },
    "c": {
      "needs": ["base", "x86", "platform", "context", "trap", "setup"],
      "headers": ["nmisafe.h", "types.h", "contract.h", "context.h", "trap.h", "immediate.h", "text_patch.h", "kprobe.h", "marker.h", "vmalloc.h", "platform/nmisafe_platform.hpp"],
      "sources": ["context.cpp", "error.cpp", "layout.cpp", "trap.cpp"],
      "includes": "platform"
    },
    "c_probes": {
      "needs": ["base", "x86", "platform", "text_patch", "immediate", "context", "marker", "kprobe", "trap", "setup", "c"],
      "headers": ["internal/translate.hpp"],
      "sources": ["kprobe.cpp", "layout.cpp", "marker.cpp", "text_patch.cpp"]
    },
    "c_vmalloc": {
      "needs": ["base", "x86", "platform", "vmalloc", "context", "trap", "setup", "c"],
      "headers": [],
      "sources": ["vmalloc.cpp"]
    }
  }
}
