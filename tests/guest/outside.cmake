# Events from outside at each instruction of a path: a plugin for QEMU, and a test for each event.
#
# Not with clang: what is shown is assembly, and the plugin is the same.
add_library(injector MODULE ${CMAKE_CURRENT_LIST_DIR}/injector.cpp)
target_compile_options(injector PRIVATE -Wall -Wextra)
set_target_properties(injector PROPERTIES CXX_VISIBILITY_PRESET hidden)

# nmisafe_add_outside_test(arch event suffix [arguments of check_outside.py...])
function(nmisafe_add_outside_test arch event suffix)
    set(name outside.${event}.${arch}${suffix})
    add_test(NAME guest.${name}
        COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/guest/check_outside.py
            --images ${PROJECT_BINARY_DIR}/kernel --injector $<TARGET_FILE:injector>
            --out ${CMAKE_CURRENT_BINARY_DIR}/${name} --arch ${arch} --event ${event} ${ARGN})
    set_tests_properties(guest.${name} PROPERTIES LABELS guest TIMEOUT 400)
endfunction()

set(hardened_x86_64 --endbr --words fsgsbase=on)
foreach(arch IN LISTS NMISAFE_ARCHS)
    nmisafe_add_outside_test(${arch} machine-check "" --words part=all)
    nmisafe_add_outside_test(${arch} machine-check .gates --words "part=all gates=user") # by the entries of user mode
    # By IRET the handler of #MC lets an NMI in: above an NMI's entry or exit too.
    nmisafe_add_outside_test(${arch} machine-check .latched --policy iret --expected latched)
    if(arch STREQUAL "x86_64") # the frame of an NMI is overwritten, and its return leads anywhere
        set(harm "unexpected (exception|page fault)")
        nmisafe_add_outside_test(${arch} machine-check .iret.without-boundary --policy iret --variant=-controls
            --without boundary --harm ${harm} --harmed nmi-breakpoint)
    else()
        set(harm nested)
    endif()
    nmisafe_add_outside_test(${arch} machine-check .iret.without-latch --policy iret --variant=-controls
        --without latch --harm ${harm} --harmed nmi-breakpoint)
    # Its handler meets a watchpoint that #DB's entry and exit have armed.
    nmisafe_add_outside_test(${arch} machine-check .without-dr7 --variant=-controls --without dr7
        --words part=all --harm failures --harmed debug)
    nmisafe_add_outside_test(${arch} unblocked-nmi "")
    if(arch STREQUAL "x86_64")
        nmisafe_add_outside_test(${arch} unblocked-nmi .hardened --variant=-hardened --endbr)
        nmisafe_add_outside_test(${arch} unblocked-nmi .first-instruction
            --stops "an NMI's frame was overwritten by a nested one's")
    endif()
    nmisafe_add_outside_test(${arch} unblocked-nmi .without-latch --variant=-controls --without latch
        --harm nested --harmed nmi-breakpoint)
    # The same of NMIs from user mode, and by its entries; and of an #MC there whose handler lets one in.
    nmisafe_add_outside_test(${arch} unblocked-nmi .user --experiment user)
    nmisafe_add_outside_test(${arch} machine-check .user --experiment user --policy iret --expected latched)
    nmisafe_add_outside_test(${arch} machine-check .user.hardened --experiment user --policy iret --expected latched
        --variant=-hardened ${hardened_${arch}})
    nmisafe_add_outside_test(${arch} unblocked-nmi .user.hardened --experiment user --variant=-hardened
        ${hardened_${arch}})
    if(arch STREQUAL "x86_64")
        nmisafe_add_outside_test(${arch} unblocked-nmi .user.hardened.without-latch --experiment user
            --variant=-hardened --endbr --without latch --harm nested)
        nmisafe_add_outside_test(${arch} unblocked-nmi .user.first-instruction --experiment user
            --stops "an NMI's frame was overwritten by a nested one's")
    endif()
    nmisafe_add_outside_test(${arch} unblocked-nmi .user.without-latch --experiment user --variant=-controls
        --without latch --harm nested)
    # #MC at each instruction of the other ways from user mode and back; with a task's page tables too.
    nmisafe_add_outside_test(${arch} machine-check .user-roads --experiment user-roads)
    nmisafe_add_outside_test(${arch} machine-check .user-roads.without-user-gs --experiment user-roads
        --variant=-controls --without user-gs --harm failures)
    nmisafe_add_outside_test(${arch} machine-check .user-roads.hardened --experiment user-roads
        --variant=-hardened ${hardened_${arch}})
    if(arch STREQUAL "x86_64")
        nmisafe_add_outside_test(${arch} machine-check .user-roads.hardened.without-tables --experiment user-roads
            --variant=-hardened --without tables --harm "double fault")
    endif()
    nmisafe_add_outside_test(${arch} smi "" --words part=all)
    nmisafe_add_outside_test(${arch} smi .user --experiment user)
    nmisafe_add_outside_test(${arch} smi .user-roads --experiment user-roads)
endforeach()
foreach(arch IN LISTS paging_archs)
    nmisafe_add_outside_test(${arch} nmi .start --experiment start-under-nmi)
    nmisafe_add_outside_test(${arch} nmi .start.without-early --experiment start-under-nmi
        --variant=-controls --without early --harm reset)
endforeach()
