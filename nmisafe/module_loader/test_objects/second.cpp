// SPDX-License-Identifier: MIT
// Linked with features.cpp by `ld -r`: both have the same templates.
#include "nmisafe/module_loader/test_objects/features.hpp"

#include "nmisafe/module_loader/exports.hpp"

extern "C" {

int use_data(); // features.cpp

int second_use_template() {
    features::counter<int>::next();
    return features::counter<int>::total;
}
int second_use_sites() {
    return features::site<3>() + features::site<4>();
}
int second_use_data() {
    return use_data();
}

} // extern "C"

NMISAFE_EXPORT_SYMBOL(second_use_template);
NMISAFE_EXPORT_SYMBOL(second_use_sites);
NMISAFE_EXPORT_SYMBOL(second_use_data);
