// PrefixDisk: lock, index, reads and the writing thread.
#include "engine/prefix/disk.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <functional>
#include <new>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>

#include "engine/support/atomic_file.hpp"
#include "engine/support/out_of_memory.hpp"

namespace hearth::engine {

namespace {

namespace fs = std::filesystem;

constexpr const char* suffix = ".prefix";
constexpr const char* old_unfinished = ".prefix.tmp";  // of an earlier version
constexpr const char* digests_suffix = ".experts";     // behind a fingerprint
constexpr const char* charges_name = "written";        // "DAY BYTES\n"
constexpr std::size_t id_digits = 16;

std::string hex(std::uint64_t value) {
  std::string text(id_digits, '0');
  for (std::size_t i = 0; i < id_digits; ++i)
    text[id_digits - 1 - i] = "0123456789abcdef"[(value >> (4 * i)) & 15];
  return text;
}

// The fingerprint in a node file's name, FINGERPRINT-ID.prefix; empty for other names.
std::optional<std::uint64_t> fingerprint_in(const std::string& name) {
  constexpr std::size_t stem = 2 * id_digits + 1;
  if (name.size() != stem + std::string_view(suffix).size() || !name.ends_with(suffix) ||
      name[id_digits] != '-' || name.find_first_not_of("0123456789abcdef-") != stem) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  std::from_chars(name.data(), name.data() + id_digits, value, 16);
  return value;
}

std::string reason(int error) {
  return std::generic_category().message(error);
}

// A directory of our own that nobody else can read. Throws Error.
void make_private(const fs::path& directory) {
  std::error_code ignored;
  if (directory.has_parent_path()) fs::create_directories(directory.parent_path(), ignored);
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    throw Error(directory.string() + " cannot be made: " + reason(errno));
  struct stat info {};
  if (::lstat(directory.c_str(), &info) != 0)
    throw Error(directory.string() + " cannot be used: " + reason(errno));
  if (!S_ISDIR(info.st_mode)) throw Error(directory.string() + " is a link or no directory");
  if (info.st_uid != ::geteuid()) throw Error(directory.string() + " belongs to another user");
  if ((info.st_mode & 0077) != 0 && ::chmod(directory.c_str(), 0700) != 0)
    throw Error(directory.string() + " cannot be made private: " + reason(errno));
}

// The lock's descriptor. It is free again when the process ends, however it ends. Throws Error.
int take_lock(const fs::path& directory) {
  const fs::path path = directory / "lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) throw Error(path.string() + " cannot be opened: " + reason(errno));
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  const int error = errno;
  ::close(fd);
  if (error == EWOULDBLOCK) throw Error(directory.string() + " is in use by another process");
  throw Error(path.string() + " cannot be locked: " + reason(error));
}

std::int64_t clock_day() {
  using days = std::chrono::duration<std::int64_t, std::ratio<86'400>>;
  return std::chrono::floor<days>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::int64_t used_at(const struct stat& info) {
  return std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

}  // namespace

std::unique_ptr<PrefixDisk> PrefixDisk::open(PrefixDiskOptions options, const PrefixLayout& layout,
                                             std::uint64_t fingerprint, Contents& contents) {
  if (!options.note) options.note = [](const std::string&) {};
  if (!options.write) options.write = ::write;
  if (!options.today) options.today = clock_day;
  const auto note = options.note;
  try {
    make_private(options.directory);
    const int lock = take_lock(options.directory);
    std::unique_ptr<PrefixDisk> disk(new PrefixDisk(std::move(options), layout, fingerprint, lock));
    contents = disk->scan();
    disk->restore_digests(contents);
    disk->thread_ = std::thread([raw = disk.get()] { raw->run(); });
    return disk;
  } catch (const std::exception& error) {
    note("no prefix checkpoints on disk: " + text_of(error));
    return nullptr;
  }
}

PrefixDisk::PrefixDisk(PrefixDiskOptions options, const PrefixLayout& layout,
                       std::uint64_t fingerprint, int lock)
    : options_(std::move(options)), layout_(layout), fingerprint_(fingerprint), lock_(lock) {
  read_charges();
}

PrefixDisk::~PrefixDisk() {
  {
    const Lock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  ::close(lock_);
}

std::string PrefixDisk::name_of(std::uint64_t id) const {
  return hex(fingerprint_) + "-" + hex(id) + suffix;
}
fs::path PrefixDisk::path_of(std::uint64_t id) const {
  return options_.directory / name_of(id);
}

PrefixDisk::Contents PrefixDisk::scan() {
  Contents contents;
  std::size_t old = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(options_.directory)) {
    const std::string name = entry.path().filename().string();
    if (is_unfinished(name) || name.ends_with(old_unfinished)) {
      ::unlink(entry.path().c_str());
      continue;
    }
    const std::optional<std::uint64_t> fingerprint = fingerprint_in(name);
    struct stat info {};
    if (!fingerprint || ::lstat(entry.path().c_str(), &info) != 0) continue;
    if (is_old_prefix_file(entry.path())) {
      ::unlink(entry.path().c_str());
      ++old;
      continue;
    }
    if (*fingerprint != fingerprint_) {
      contents.stale.push_back({name, static_cast<std::uint64_t>(info.st_size), used_at(info)});
      continue;
    }
    try {
      PrefixHead head = read_prefix_head(entry.path(), fingerprint_, layout_);
      if (name_of(head.place.id) != name)
        throw CorruptCheckpoint(entry.path().string() + " is damaged: another file has its name");
      contents.nodes.push_back({std::move(head), used_at(info)});
    } catch (const CorruptCheckpoint& damage) {
      options_.note(std::string(damage.what()) + "; removed");
      ::unlink(entry.path().c_str());
    } catch (const Error& error) {
      options_.note(error.what());
    }
  }
  if (old > 0)
    options_.note("prefix checkpoints of an earlier version: " + std::to_string(old) +
                  " files removed");
  remove_lone_digests(contents);
  return contents;
}

// Those of other checkpoints without a state beside them.
void PrefixDisk::remove_lone_digests(const Contents& contents) const {
  for (const fs::directory_entry& entry : fs::directory_iterator(options_.directory)) {
    const std::string name = entry.path().filename().string();
    const std::string owner = name.substr(0, id_digits);
    if (name.find(digests_suffix) != id_digits || owner == hex(fingerprint_)) continue;
    const bool needed = std::ranges::any_of(
        contents.stale, [&](const StaleFile& file) { return file.name.starts_with(owner); });
    if (!needed) ::unlink(entry.path().c_str());
  }
}

// --- Queue ---------------------------------------------------------------------------------------

void PrefixDisk::queue(Job job) {
  {
    const Lock lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

bool PrefixDisk::write(PrefixRecord record) {
  const std::uint64_t bytes = prefix_file_bytes(record);
  {
    const Lock lock(mutex_);
    if (bytes > room_now()) return false;
    written_.reserve(written_.size() + jobs_.size() + 2);  // what becomes of it can always be told
    jobs_.emplace_back(Write{std::move(record), bytes});
    queued_bytes_ += bytes;
  }
  changed_.notify_all();
  return true;
}

std::uint64_t PrefixDisk::room() const {
  const Lock lock(mutex_);
  return room_now();
}

std::uint64_t PrefixDisk::room_now() const {
  const std::uint64_t spent = (day_ == options_.today() ? day_bytes_ : 0) + queued_bytes_;
  return std::min(options_.queue_bytes - std::min(options_.queue_bytes, queued_bytes_),
                  options_.daily_bytes - std::min(options_.daily_bytes, spent));
}

void PrefixDisk::remove(std::uint64_t id) {
  queue(Remove{name_of(id)});
}
void PrefixDisk::remove(const StaleFile& file) {
  queue(Remove{file.name});
}
void PrefixDisk::touch(std::uint64_t id) {
  queue(Touch{name_of(id)});
}

void PrefixDisk::remove_all(std::function<void()> done) {
  {
    const Lock lock(mutex_);
    for (const Job& job : jobs_) {
      if (const auto* const write = std::get_if<Write>(&job)) queued_bytes_ -= write->bytes;
    }
    std::erase_if(jobs_, [](const Job& job) { return std::holds_alternative<Write>(job); });
    jobs_.emplace_back(RemoveAll{std::move(done)});
  }
  changed_.notify_all();
}

std::vector<PrefixDisk::Written> PrefixDisk::take_written() {
  const Lock lock(mutex_);
  return std::exchange(written_, {});
}

std::uint64_t PrefixDisk::written_today() const {
  const Lock lock(mutex_);
  return day_ == options_.today() ? day_bytes_ : 0;
}

void PrefixDisk::flush() {
  Lock lock(mutex_);
  while (!jobs_.empty() || busy_) changed_.wait(lock);
}

bool PrefixDisk::wait(std::chrono::milliseconds max, const std::atomic<bool>* interrupt) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds look_every{2};
  const auto deadline = Clock::now() + max;
  Lock lock(mutex_);
  while (!jobs_.empty() || busy_) {
    if (is_set(interrupt)) return false;
    const auto now = Clock::now();
    if (now >= deadline) break;
    changed_.wait_until(lock, std::min(deadline, now + look_every));
  }
  return true;
}

// --- Reading -------------------------------------------------------------------------------------

template <typename Task>
bool PrefixDisk::attempt(Request& request, const Task& task) const {
  std::string failure;
  bool damaged = false;
  try {
    task();
    return true;
  } catch (const CorruptCheckpoint& error) {
    failure = error.what();
    damaged = true;
  } catch (const std::bad_alloc&) {
    throw;  // nothing is wrong with the file
  } catch (const std::exception& error) {
    failure = error.what();
  }
  const Lock lock(mutex_);
  request.failure = std::move(failure);
  request.damaged = request.damaged || damaged;
  return false;
}

bool PrefixDisk::open(Request& request) const {
  return attempt(request, [&] {
    request.reading = std::make_unique<PrefixReading>(path_of(request.place.id), fingerprint_,
                                                      layout_, request.place, request.requested);
  });
}

bool PrefixDisk::read(Request& request, std::size_t piece,
                      const PrefixReading::Arrived& arrived) const {
  return attempt(request, [&] { request.reading->read(piece, arrived); });
}

bool PrefixDisk::finish(Request& request) const {
  return attempt(request, [&] { request.reading->finish(); });
}

// --- The writing thread --------------------------------------------------------------------------

void PrefixDisk::run() {
  Lock lock(mutex_);
  while (true) {
    while (!stop_ && jobs_.empty()) changed_.wait(lock);
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    busy_ = true;
    lock.unlock();
    try {
      std::visit([this](auto& what) { perform(what); }, job);
    } catch (const std::exception&) {
      // No memory: a file stays that is of no use, or its time is the old one.
    }
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

bool PrefixDisk::write_now(const PrefixRecord& record, std::uint64_t bytes) {
  std::uint64_t written = 0;
  try {
    const WriteFunction counted = [&](int file, const void* data, std::size_t size) {
      const ssize_t some = options_.write(file, data, size);
      if (some > 0) written += static_cast<std::uint64_t>(some);
      return some;
    };
    // A full disk fails a whole chain; one sentence says it.
    if (failed_.contains(record.place.parent)) return false;
    charge(bytes);
    save_digests();
    write_prefix_file(path_of(record.place.id), fingerprint_, record, counted);
    return true;
  } catch (const std::exception& error) {
    give_back(bytes - std::min(bytes, written));
    if (!std::exchange(told_of_failure_, true)) {
      options_.note("a prefix checkpoint was not written: " + text_of(error) +
                    "; what it holds will be computed again after a restart");
    }
  }
  return false;
}

void PrefixDisk::perform(Write& job) {
  const std::uint64_t id = job.record.place.id;
  bool done = false;
  try {
    done = write_now(job.record, job.bytes);
    if (done) {
      failed_.erase(id);
      told_of_failure_ = false;
    } else {
      failed_.insert(id);
    }
  } catch (const std::exception&) {
    // No memory to say so: its children are written in vain.
  }
  job.record = {};  // before it counts as written: its memory is then the cache's to give back
  const Lock lock(mutex_);
  queued_bytes_ -= job.bytes;
  written_.push_back({id, done});  // has room: see write()
}

void PrefixDisk::perform(const Remove& job) {
  ::unlink((options_.directory / job.name).c_str());
}

void PrefixDisk::perform(const Touch& job) {
  ::utimensat(AT_FDCWD, (options_.directory / job.name).c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
}

void PrefixDisk::perform(const RemoveAll& job) {
  remove_files();
  job.done();
}

// The prefix of file names with this fingerprint.
void PrefixDisk::remove_files() {
  std::error_code ignored;  // what stays is found again, and does not fit
  for (fs::directory_iterator at(options_.directory, ignored), end; !ignored && at != end;
       at.increment(ignored)) {
    const std::string name = at->path().filename().string();
    if (fingerprint_in(name) == fingerprint_) ::unlink(at->path().c_str());
  }
}

// Without them nobody can tell whether the states are still right.
void PrefixDisk::restore_digests(Contents& contents) {
  if (options_.digests == nullptr) return;
  const auto bytes = read_own_file(options_.directory / (hex(fingerprint_) + digests_suffix),
                                   options_.digests->saved_bytes());
  if (bytes && options_.digests->restore(std::as_bytes(std::span(*bytes)))) return;
  if (contents.nodes.empty()) return;
  options_.note(
      "what the experts' bytes were when prefix checkpoints were computed is not known; " +
      std::to_string(contents.nodes.size()) + " files removed");
  contents.nodes.clear();
  remove_files();
}

// Before a state that was computed from them. Throws Error.
void PrefixDisk::save_digests() {
  if (options_.digests == nullptr) return;
  const std::optional<std::vector<std::byte>> bytes = options_.digests->unsaved();
  if (!bytes) return;
  const fs::path path = options_.directory / (hex(fingerprint_) + digests_suffix);
  write_whole_file(path, *bytes, options_.write);
  options_.digests->saved();
}

// Before the bytes are written, so that a crash cannot make them free.
void PrefixDisk::charge(std::uint64_t bytes) {
  {
    const Lock lock(mutex_);
    const std::int64_t today = options_.today();
    if (day_ != today) day_bytes_ = 0;
    day_ = today;
    day_bytes_ += bytes;
  }
  write_charges();
}

// What was charged and then not written: the disk was not worn by it.
void PrefixDisk::give_back(std::uint64_t bytes) {
  {
    const Lock lock(mutex_);
    day_bytes_ -= std::min(day_bytes_, bytes);
  }
  write_charges();
}

void PrefixDisk::write_charges() const {
  std::string text;
  {
    const Lock lock(mutex_);
    text = std::to_string(day_) + " " + std::to_string(day_bytes_) + "\n";
  }
  try {
    write_atomically(options_.directory / charges_name, std::as_bytes(std::span(text)));
  } catch (const Error&) {
    // On a full disk the old count stays; the write itself will say so.
  }
}

void PrefixDisk::read_charges() {
  constexpr std::uint64_t longest = 64;
  const auto text = read_own_file(options_.directory / charges_name, longest);
  const Lock lock(mutex_);
  if (!text || !(std::istringstream(*text) >> day_ >> day_bytes_)) day_ = 0;
  if (day_ != options_.today()) day_bytes_ = 0;
}

}  // namespace hearth::engine
