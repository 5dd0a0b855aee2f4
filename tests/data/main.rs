//! Reading data: tables, NumPy's files, SVMlight's lines, ratings.

mod columnar;
mod damage;
mod encoding;
mod large;
mod ratings;
mod svmlight;
mod tables;
