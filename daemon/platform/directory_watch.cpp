// DirectoryWatch: inotify behind Asio.
#include "daemon/platform/directory_watch.hpp"

#include <sys/inotify.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <utility>

#include "daemon/platform/fd.hpp"

namespace hearth::daemon {
namespace {

constexpr std::chrono::seconds look_every{10};
constexpr std::uint32_t names = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

}  // namespace

struct DirectoryWatch::Impl : std::enable_shared_from_this<Impl> {
  Impl(AsioHost& to, std::function<void()> task)
      : host(to), changed(std::move(task)), stream(to.io()) {}

  void begin(const std::filesystem::path& directory, std::uint32_t events_wanted) {
    Fd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!fd || ::inotify_add_watch(fd.get(), directory.c_str(), events_wanted) < 0)
      return look_again();
    stream.assign(fd.release());
    wait();
  }

  void wait() {
    stream.async_read_some(
        boost::asio::buffer(events),
        [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
          if (error || !self->changed) return;
          self->wait();
          self->changed();
        });
  }

  void look_again() {
    host.after(look_every, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      self->look_again();
      self->changed();
    });
  }

  AsioHost& host;
  std::function<void()> changed;  // empty once nobody is to be told
  boost::asio::posix::stream_descriptor stream;
  std::array<char, 4096> events;  // which they were does not matter
};

DirectoryWatch::DirectoryWatch(AsioHost& host, const std::filesystem::path& directory,
                               std::function<void()> changed, bool contents)
    : impl_(std::make_shared<Impl>(host, std::move(changed))) {
  impl_->begin(directory, contents ? names | IN_CLOSE_WRITE : names);
}

DirectoryWatch::~DirectoryWatch() {
  impl_->changed = nullptr;
  boost::system::error_code ignored;
  impl_->stream.close(ignored);
}

}  // namespace hearth::daemon
