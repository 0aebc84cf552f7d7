// SPDX-License-Identifier: MIT
// The files of tool/views/page/, as the build found them (embed.cmake).
#pragma once

#include <string_view>

namespace nmisafe::tool {

extern const std::string_view page_html;
extern const std::string_view page_style;
extern const std::string_view page_program; // all .js files, one behind the other

} // namespace nmisafe::tool
