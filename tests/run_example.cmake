# Runs an example that makes a store in FOLDER, which must not exist, and checks what it says.
file(REMOVE_RECURSE ${FOLDER})
execute_process(COMMAND ${PROGRAM} ${FOLDER} OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
if(NOT output MATCHES "250 frames; asked for 42, 200 and 12 and got 42, 200 and 12")
  message(FATAL_ERROR "unexpected output: ${output}")
endif()
