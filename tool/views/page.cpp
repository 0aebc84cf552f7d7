// SPDX-License-Identifier: MIT
#include <stdexcept>

#include "tool/views/page_parts.hpp"
#include "tool/views/view_data.hpp"

namespace nmisafe::tool {

std::string timeline_page(const view_data& data) {
    std::string page;
    std::string_view rest = page_html;
    const std::string json = data.json();
    // Its places, each once and in this order.
    for (const auto& [place, text] :
         {std::pair<std::string_view, std::string_view>{"/*STYLE*/", page_style},
          {"/*TRACE*/", json},
          {"/*PROGRAM*/", page_program}}) {
        const std::size_t at = rest.find(place);
        if (at == std::string_view::npos) {
            throw std::logic_error("the page has lost a place");
        }
        page.append(rest.substr(0, at)).append(text);
        rest.remove_prefix(at + place.size());
    }
    return page.append(rest);
}

} // namespace nmisafe::tool
