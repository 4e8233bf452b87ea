# autoglm_room(NAME <room> HEADERS ... [SOURCES ...] [USES <room>...] [LINKS <target>...] [TESTS ...] [TEST_LINKS ...] [COMPUTES_ONLY])
#
# One library per folder of src/. HEADERS form a FILE_SET, so CMAKE_VERIFY_INTERFACE_HEADER_SETS compiles every header
# alone. USES may name only rooms that stand above this one in src/layers.txt (tools/check_layers.py holds includes to it).
# COMPUTES_ONLY: the room's tests neither wait nor measure time, so that others of the kind may run beside them.
add_library(autoglm_options INTERFACE)
target_compile_options(autoglm_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers -Werror -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports these falsely in coroutine frames and inlined std::string.
  target_compile_options(autoglm_options INTERFACE -Wno-restrict -Wno-maybe-uninitialized -Wno-dangling-pointer)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # Clang 19 blames std::stable_sort's user for what libstdc++ 12 calls inside it.
  target_compile_options(autoglm_options INTERFACE -Wno-deprecated-declarations)
endif()
if(AUTOGLM_SANITIZE)
  target_compile_options(autoglm_options INTERFACE -fsanitize=${AUTOGLM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(autoglm_options INTERFACE -fsanitize=${AUTOGLM_SANITIZE})
endif()

function(autoglm_room)
  cmake_parse_arguments(ROOM "COMPUTES_ONLY" "NAME" "HEADERS;SOURCES;USES;LINKS;TESTS;TEST_LINKS" ${ARGN})
  set(target autoglm_${ROOM_NAME})
  if(ROOM_SOURCES)
    set(scope PUBLIC)
    add_library(${target} STATIC ${ROOM_SOURCES})
    target_link_libraries(${target} PUBLIC autoglm_options)
  else()
    set(scope INTERFACE)
    add_library(${target} INTERFACE)
  endif()
  target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/src FILES ${ROOM_HEADERS})
  target_include_directories(${target} ${scope} ${PROJECT_SOURCE_DIR}/src)
  list(TRANSFORM ROOM_USES PREPEND autoglm_)
  target_link_libraries(${target} ${scope} ${ROOM_USES} ${ROOM_LINKS})

  if(AUTOGLM_BUILD_TESTS AND ROOM_TESTS)
    add_executable(${ROOM_NAME}_test ${ROOM_TESTS})
    target_link_libraries(${ROOM_NAME}_test PRIVATE autoglm_options ${target} ${ROOM_TEST_LINKS} GTest::gmock GTest::gtest_main)
    target_include_directories(${ROOM_NAME}_test PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    add_test(NAME ${ROOM_NAME} COMMAND ${ROOM_NAME}_test)
    file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/tmp)
    set_tests_properties(${ROOM_NAME} PROPERTIES TIMEOUT 600
      ENVIRONMENT "AUTOGLM_SOURCE_DIR=${PROJECT_SOURCE_DIR};TEST_TMPDIR=${CMAKE_CURRENT_BINARY_DIR}/tmp")
    if(NOT ROOM_COMPUTES_ONLY)
      set_tests_properties(${ROOM_NAME} PROPERTIES RUN_SERIAL TRUE)
    endif()
  endif()
endfunction()
