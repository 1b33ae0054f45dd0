// See prefix_disk.hpp.
#include "engine/prefix_disk.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

namespace hearth::engine {

namespace {

namespace fs = std::filesystem;

constexpr const char* suffix = ".prefix";
constexpr const char* unfinished = ".prefix.tmp";
constexpr const char* charges_name = "written";  // "DAY BYTES\n"
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
    disk->thread_ = std::thread([raw = disk.get()] { raw->run(); });
    return disk;
  } catch (const std::exception& error) {
    note("no prefix checkpoints on disk: " + std::string(error.what()));
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
    const std::scoped_lock lock(mutex_);
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
  for (const fs::directory_entry& entry : fs::directory_iterator(options_.directory)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(unfinished)) {
      ::unlink(entry.path().c_str());
      continue;
    }
    const std::optional<std::uint64_t> fingerprint = fingerprint_in(name);
    struct stat info {};
    if (!fingerprint || ::lstat(entry.path().c_str(), &info) != 0) continue;
    if (*fingerprint != fingerprint_) {
      contents.foreign.push_back({name, static_cast<std::uint64_t>(info.st_size), used_at(info)});
      continue;
    }
    try {
      PrefixHead head = read_prefix_head(entry.path(), fingerprint_, layout_);
      if (name_of(head.place.id) != name)
        throw PrefixDamage(entry.path().string() + " is damaged: another file has its name");
      contents.nodes.push_back({std::move(head), used_at(info)});
    } catch (const PrefixDamage& damage) {
      options_.note(std::string(damage.what()) + "; removed");
      ::unlink(entry.path().c_str());
    } catch (const Error& error) {
      options_.note(error.what());
    }
  }
  return contents;
}

// --- Queue ---------------------------------------------------------------------------------------

void PrefixDisk::queue(Job job) {
  {
    const std::scoped_lock lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

bool PrefixDisk::write(PrefixRecord record) {
  const std::uint64_t bytes = prefix_file_bytes(record);
  {
    const std::scoped_lock lock(mutex_);
    if (bytes > room_now()) return false;
    queued_bytes_ += bytes;
    jobs_.emplace_back(std::move(record));
  }
  changed_.notify_all();
  return true;
}

std::uint64_t PrefixDisk::room() const {
  const std::scoped_lock lock(mutex_);
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
void PrefixDisk::remove(const Foreign& file) {
  queue(Remove{file.name});
}
void PrefixDisk::touch(std::uint64_t id) {
  queue(Touch{name_of(id)});
}

std::vector<PrefixDisk::Written> PrefixDisk::take_written() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(written_, {});
}

std::uint64_t PrefixDisk::written_today() const {
  const std::scoped_lock lock(mutex_);
  return day_ == options_.today() ? day_bytes_ : 0;
}

void PrefixDisk::flush() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return jobs_.empty() && !busy_; });
}

// --- Reading -------------------------------------------------------------------------------------

template <typename Task>
bool PrefixDisk::attempt(Request& request, const Task& task) const {
  std::string failure;
  bool damaged = false;
  try {
    task();
    return true;
  } catch (const PrefixDamage& error) {
    failure = error.what();
    damaged = true;
  } catch (const std::exception& error) {
    failure = error.what();
  }
  const std::scoped_lock lock(mutex_);
  request.failure = failure;
  request.damaged = request.damaged || damaged;
  return false;
}

bool PrefixDisk::open(Request& request) const {
  return attempt(request, [&] {
    request.reading = std::make_unique<PrefixReading>(path_of(request.place.id), fingerprint_,
                                                      layout_, request.place, request.wants);
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
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    busy_ = true;
    lock.unlock();
    std::visit([this](auto& what) { perform(what); }, job);
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

void PrefixDisk::perform(PrefixRecord& record) {
  const std::uint64_t bytes = prefix_file_bytes(record);
  bool done = false;
  try {
    // A full disk fails a whole chain; one sentence says it.
    if (!failed_.contains(record.place.parent)) {
      charge(bytes);
      write_prefix_file(path_of(record.place.id), fingerprint_, record, options_.write);
      done = true;
    }
  } catch (const std::exception& error) {
    if (!std::exchange(told_of_failure_, true)) {
      options_.note("a prefix checkpoint was not written: " + std::string(error.what()) +
                    "; what it holds will be computed again after a restart");
    }
  }
  if (done) {
    failed_.erase(record.place.id);
    told_of_failure_ = false;
  } else {
    failed_.insert(record.place.id);
  }
  const std::uint64_t id = record.place.id;
  record = {};  // before it counts as written: its memory is then the cache's to give back
  const std::scoped_lock lock(mutex_);
  queued_bytes_ -= bytes;
  written_.push_back({id, done});
}

void PrefixDisk::perform(const Remove& job) {
  ::unlink((options_.directory / job.name).c_str());
}

void PrefixDisk::perform(const Touch& job) {
  ::utimensat(AT_FDCWD, (options_.directory / job.name).c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
}

// Before the bytes are written, so that a crash cannot make them free.
void PrefixDisk::charge(std::uint64_t bytes) {
  std::string text;
  {
    const std::scoped_lock lock(mutex_);
    const std::int64_t today = options_.today();
    if (day_ != today) day_bytes_ = 0;
    day_ = today;
    day_bytes_ += bytes;
    text = std::to_string(day_) + " " + std::to_string(day_bytes_) + "\n";
  }
  const fs::path path = options_.directory / charges_name;
  fs::path beside = path;
  beside += unfinished;
  const int file = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return;
  const bool whole = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(file);
  // On a full disk the old count stays; the write itself will say so.
  if (whole) ::rename(beside.c_str(), path.c_str());
}

void PrefixDisk::read_charges() {
  std::ifstream file(options_.directory / charges_name);
  if (!(file >> day_ >> day_bytes_)) day_ = 0;
  if (day_ != options_.today()) day_bytes_ = 0;
}

}  // namespace hearth::engine
