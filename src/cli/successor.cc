#include "cli/successor.h"

#include <fmt/format.h>
#include <spawn.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace autoglm {
namespace {

constexpr const char* kSocketVariable = "AUTOGLM_GATEWAY_SOCKET";
constexpr const char* kAdminVariable = "AUTOGLM_GATEWAY_ADMIN_SOCKET";
constexpr const char* kPredecessorVariable = "AUTOGLM_GATEWAY_PREDECESSOR";

std::optional<int> TakeNumber(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  int number = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), number);
  unsetenv(variable);
  return error == std::errc() && *end == '\0' ? std::optional(number) : std::nullopt;
}

std::vector<std::string> OwnArguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string all((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<std::string> arguments;
  for (size_t at = 0; at < all.size(); at = all.find('\0', at) + 1) arguments.emplace_back(all.c_str() + at);
  return arguments;
}

// Where this program's file was when it was started: a new one may stand there by now.
std::string OwnPath() {
  std::error_code error;
  std::string path = std::filesystem::read_symlink("/proc/self/exe", error).string();
  constexpr std::string_view kReplaced = " (deleted)";
  if (path.ends_with(kReplaced)) path.resize(path.size() - kReplaced.size());
  return path;
}

std::vector<std::string> Environment(const Inheritance& sockets) {
  std::vector<std::string> variables;
  for (char** one = environ; *one != nullptr; ++one) variables.emplace_back(*one);
  variables.push_back(fmt::format("{}={}", kSocketVariable, *sockets.socket));
  if (sockets.admin_socket) variables.push_back(fmt::format("{}={}", kAdminVariable, *sockets.admin_socket));
  variables.push_back(fmt::format("{}={}", kPredecessorVariable, getpid()));
  return variables;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Inheritance TakeInheritance() {
  Inheritance inherited;
  inherited.socket = TakeNumber(kSocketVariable);
  inherited.admin_socket = TakeNumber(kAdminVariable);
  inherited.predecessor = TakeNumber(kPredecessorVariable);
  return inherited;
}

Status StartSuccessor(const Inheritance& sockets) {
  // Where they are put, behind what all of them might be now; clients' connections must not go along, or they never end.
  constexpr int kFirst = 3;
  const int socket = dup(*sockets.socket);
  const int admin_socket = sockets.admin_socket ? dup(*sockets.admin_socket) : -1;
  Inheritance given{.socket = kFirst};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, socket, kFirst);
  if (admin_socket >= 0) {
    given.admin_socket = kFirst + 1;
    posix_spawn_file_actions_adddup2(&actions, admin_socket, kFirst + 1);
  }
  posix_spawn_file_actions_addclosefrom_np(&actions, kFirst + (admin_socket >= 0 ? 2 : 1));

  // Signals that are blocked or ignored for this process's own reasons are not the successor's.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);

  std::vector<std::string> arguments = OwnArguments();
  std::vector<std::string> variables = Environment(given);
  pid_t child = 0;
  const int error =
      posix_spawn(&child, OwnPath().c_str(), &actions, &attributes, Pointers(arguments).data(), Pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(socket);
  if (admin_socket >= 0) close(admin_socket);
  if (error != 0) return Fail(ErrorCode::kIo, fmt::format("{} cannot be started: {}", OwnPath(), std::strerror(error)));
  return {};
}

void TellPredecessor(const Inheritance& inherited) {
  if (inherited.predecessor && *inherited.predecessor == getppid()) kill(*inherited.predecessor, SIGTERM);
}

}  // namespace autoglm
