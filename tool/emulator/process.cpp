// SPDX-License-Identifier: MIT
#include "tool/emulator/process.hpp"

#include "tool/emulator/boost_process.hpp" // before Boost.Asio, for what that forgets

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nmisafe::tool {

namespace {

namespace asio = boost::asio;

constexpr std::size_t error_output_limit = 64u << 10;

// Alive as long as one of its handlers is pending: each holds a shared pointer.
class running_process : public std::enable_shared_from_this<running_process> {
  public:
    running_process(asio::io_context& context, const process_limits& limits,
                    output_handler on_output, end_handler on_end)
        : context_(context), limits_(limits), on_output_(std::move(on_output)),
          on_end_(std::move(on_end)), output_{bp::async_pipe(context), {}}, errors_{bp::async_pipe(
                                                                                        context),
                                                                                    {}},
          deadline_(context) {}

    // What is still there when this program gives up.
    ~running_process() {
        if (child_.valid() && !exited_) {
            kill_group();
        }
    }

    void start(const process_command& command);
    void kill(process_end why);

  private:
    struct channel {
        bp::async_pipe pipe;
        std::array<char, 1u << 16> buffer;
    };

    void read(channel& from);
    void take(const channel& from, std::string_view bytes);
    void kill_group();
    void exited(int status);
    void finish_if_over();
    void give_up(std::string why);

    asio::io_context& context_;
    process_limits limits_;
    output_handler on_output_;
    end_handler on_end_;
    channel output_;
    channel errors_;
    asio::steady_timer deadline_;
    bp::child child_;
    bp::group group_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    process_result result_;
    std::uint64_t output_bytes_ = 0;
    int open_channels_ = 2;
    bool killed_ = false;
    bool exited_ = false;
};

void running_process::start(const process_command& command) {
    const bool is_path = command.program.find('/') != std::string::npos;
    const std::string found = is_path ? command.program : bp::search_path(command.program).string();
    // Relative to here, not to the folder where it runs.
    const std::string program = found.empty() ? "" : std::filesystem::absolute(found).string();
    if (program.empty()) {
        give_up(command.program + " is not installed");
        return;
    }
    // Read in the child, where this object is a copy in another process.
    const rlimit file_size{limits_.file_bytes, limits_.file_bytes};
    const pid_t parent = ::getpid();
    const int inherited = command.inherited_descriptor;
    const auto self = shared_from_this();
    std::error_code error;
    child_ = bp::child(
        program, bp::args(command.arguments), bp::std_in<bp::null, bp::std_out> output_.pipe,
        bp::std_err > errors_.pipe, group_, context_, error,
        bp::start_dir = command.folder.empty() ? "." : command.folder.string(),
        bp::extend::on_exec_setup =
            [=](auto&) {
                ::setrlimit(RLIMIT_FSIZE, &file_size);
                ::prctl(PR_SET_PDEATHSIG, SIGKILL);
                ::signal(SIGXFSZ, SIG_DFL);
                if (inherited >= 0) {
                    ::fcntl(inherited, F_SETFD, 0);
                }
                if (::getppid() != parent) { // it died before the line above
                    ::_exit(1);
                }
            },
        // Boost.Process calls this while it walks its list of children, so nothing that may start
        // another child happens before it has returned.
        bp::on_exit =
            [self](int, std::error_code) {
                asio::post(self->context_,
                           [self] { self->exited(self->child_.native_exit_code()); });
            });
    if (error) {
        give_up(program + ": " + error.message());
        return;
    }
    read(output_);
    read(errors_);
    deadline_.expires_after(limits_.time);
    deadline_.async_wait([self](boost::system::error_code cancelled) {
        if (!cancelled) {
            self->kill(process_end::timed_out);
        }
    });
}

void running_process::read(channel& from) {
    from.pipe.async_read_some(
        asio::buffer(from.buffer),
        [self = shared_from_this(), &from](boost::system::error_code ended, std::size_t size) {
            self->take(from, std::string_view(from.buffer.data(), size));
            if (!ended) {
                self->read(from);
                return;
            }
            --self->open_channels_;
            self->finish_if_over();
        });
}

void running_process::take(const channel& from, std::string_view bytes) {
    if (&from == &errors_) {
        const std::size_t room = error_output_limit - result_.error_output.size();
        result_.error_output += bytes.substr(0, room);
        return;
    }
    if (killed_) {
        return; // what was in the pipe when the limit was hit
    }
    output_bytes_ += bytes.size();
    const bool go_on = on_output_(bytes);
    if (!go_on) {
        kill(process_end::stopped);
    } else if (output_bytes_ > limits_.output_bytes) {
        kill(process_end::too_much_output);
    }
}

void running_process::kill(process_end why) {
    if (!killed_ && !exited_ && child_.valid()) {
        killed_ = true;
        result_.end = why;
        kill_group();
    }
}

void running_process::kill_group() {
    std::error_code gone_already;
    group_.terminate(gone_already);
}

void running_process::exited(int status) {
    exited_ = true;
    if (!killed_) {
        result_.end = WIFEXITED(status) ? process_end::exited : process_end::signalled;
        result_.status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
    }
    // A process it left behind may hold the pipes open.
    kill_group();
    deadline_.expires_after(std::chrono::seconds(2));
    deadline_.async_wait([self = shared_from_this()](boost::system::error_code cancelled) {
        if (!cancelled) {
            boost::system::error_code ignored;
            self->output_.pipe.close(ignored);
            self->errors_.pipe.close(ignored);
        }
    });
    finish_if_over();
}

void running_process::finish_if_over() {
    if (exited_ && open_channels_ == 0) {
        deadline_.cancel();
        result_.time = std::chrono::steady_clock::now() - start_;
        on_end_(result_);
    }
}

void running_process::give_up(std::string why) {
    result_.error_output = std::move(why);
    asio::post(context_, [self = shared_from_this()] { self->on_end_(self->result_); });
}

} // namespace

std::function<void()> start_process(asio::io_context& context, const process_command& command,
                                    const process_limits& limits, output_handler on_output,
                                    end_handler on_end) {
    const auto made =
        std::make_shared<running_process>(context, limits, std::move(on_output), std::move(on_end));
    made->start(command);
    return [weak = std::weak_ptr<running_process>(made)] {
        if (const auto process = weak.lock()) {
            process->kill(process_end::stopped);
        }
    };
}

} // namespace nmisafe::tool
