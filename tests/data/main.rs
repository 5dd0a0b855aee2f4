//! Reading data: tables, NumPy's files, SVMlight's lines, ratings.

mod damage;
mod encoding;
mod ratings;
mod svmlight;
mod tables;
