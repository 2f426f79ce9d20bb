#pragma once

#include "base/filter.h"
#include "store/convert.h"
#include "store/copy_records.h"
#include "store/store_writer.h"

namespace reelstore {

/// Pixels that wait to be filtered, and as many that wait to be encoded, at most.
inline constexpr size_t kInOrderBytes = size_t{32} << 20;

/// What StoreConverter::convert_to() does where frames depend on each other: source -> filters -> writer, one frame
/// after the other. Of the options, the format's are the writer's already.
ConvertResult convert_in_order(const CopySource& source, const Filters& filters, StoreWriter& output,
                               const ConvertOptions& options);

/// What check_conversion() does where there are filters: the frames go through them once more and are compared with
/// those of the new store, `converted`, as they come.
ConversionCheck check_in_order(const CopySource& source, const Filters& filters, StoreReader& converted,
                               const ConversionCheckOptions& options);

}  // namespace reelstore
